"""Videos that are no video files: pictures in a folder, an array, anything that gives pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from referent.errors import VideoError
from referent.picture import SUFFIXES, read_picture
from referent.video.frame import Frame, Video, numbered

if TYPE_CHECKING:
    from referent.reference import PictureSource


class Pictures(Video):
    """Pictures, evenly spaced in time.

    Args:
        name: for messages.
        pictures: read once, as it is asked for, where it can be read once only.
        count: how many, or None.
        rate: frames a second.
        names: of the frames, each once; their indices where None.
    """

    def __init__(
        self,
        name: str,
        pictures: Iterable[PictureSource],
        count: int | None,
        rate: Fraction,
        names: list[str] | None = None,
    ) -> None:
        self.name, self.count, self.rate = name, count, rate
        self._pictures, self._names = pictures, names

    def __iter__(self) -> Iterator[Frame]:
        index = -1
        for index, picture in enumerate(self._pictures):
            name = self._names[index] if self._names else numbered(index)
            yield Frame(index, float(index / self.rate), read_picture(picture), name)
        if index < 0:
            raise VideoError(f"{self.name}: expected frames, found none")


def of_folder(folder: Path, rate: Fraction) -> Pictures:
    """The picture files directly in `folder`, by the numbers in their names: "2.png" before "10.png".

    Raises:
        VideoError: it holds none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    paths = sorted((path for path in found if path.is_file()), key=_natural)
    if not paths:
        raise VideoError(f"{folder}: expected a folder of pictures (jpg, png, ...), found none in it")
    names = [path.stem for path in paths]
    # "1.png" beside "1.jpg" would have one name.
    return Pictures(str(folder), paths, len(paths), rate, names if len(set(names)) == len(names) else None)


def of_array(frames: NDArray[Any], rate: Fraction) -> Pictures:
    """(T, H, W, 3) uint8 RGB.

    Raises:
        VideoError: of another shape or type.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise VideoError(f"video array: expected uint8 (T, H, W, 3), found {frames.dtype} {frames.shape}")
    return Pictures("video array", list(frames), len(frames), rate)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
