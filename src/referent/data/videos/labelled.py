"""A video as two folders: its frames, and label pictures of the same names for some or all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from referent.data.videos.frames import frames_in, size_of
from referent.data.videos.label_pictures import LabelPictures
from referent.data.videos.video import Expression, Masks, Video, VideoObject
from referent.errors import DataError


@dataclass(frozen=True)
class Labelled:
    """What the two folders hold.

    Attributes:
        name: of the video.
        frames: in order.
        size: (height, width) of the first.
        index: of each frame, by the name of its file without the ending.
        files: label pictures by index.
    """

    name: str
    frames: tuple[Path, ...]
    size: tuple[int, int]
    index: dict[str, int]
    files: dict[int, Path]

    @classmethod
    def of(cls, name: str, pictures: Path, masks: Path) -> Labelled:
        """Lists both folders; opens the first frame's header alone.

        Raises:
            DataError: no frames, or no label picture that is named as one of them.
        """
        frames = frames_in(pictures)
        index = {frame.stem: number for number, frame in enumerate(frames)}
        files = {index[path.stem]: path for path in frames_in(masks) if path.stem in index}
        if not files:
            raise DataError(f"{masks}: no mask has the name of a frame in {pictures}")
        return cls(name, frames, size_of(frames[0]), index, files)

    def masks(self, single: bool = False) -> LabelPictures:
        """The masks, read when asked for; see `LabelPictures`."""
        return LabelPictures(self.files, self.size, single)

    def video(
        self, objects: Sequence[VideoObject], expressions: Sequence[Expression] = (), single: bool = False
    ) -> Video:
        """With what else is known of it.

        Raises:
            DataError: it has no object.
        """
        if not objects:
            raise DataError(f"{self.files[min(self.files)]}: expected an object in the first mask, found none")
        return Video(self.name, self.frames, self.size, tuple(objects), self.masks(single), tuple(expressions))


def beginnings(masks: Masks, numbers: Iterable[int] | None) -> list[VideoObject]:
    """Objects by number, with the frame that shows each first; masks are read until every one has been seen.

    Args:
        masks: of the video.
        numbers: of the objects; what is never seen is left out. None where the masks alone say what there is.
    """
    wanted = None if numbers is None else set(numbers)
    first: dict[int, int] = {}
    for frame in masks.annotated:
        if wanted is not None and wanted <= first.keys():
            break
        for number in masks.at(frame).masks:
            if wanted is None or number in wanted:
                first.setdefault(number, frame)
    return [VideoObject(number, frame) for number, frame in sorted(first.items())]
