"""What `referent track` leaves behind, written frame by frame.

OUT/masks/00000.png     palette picture: 0 nothing, 1 the first object, ...
OUT/overlay.mp4         the video with everything found drawn on it
OUT/tracks.jsonl        a header, then a line a frame: every object's score, box and run lengths
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from referent.errors import DataError
from referent.evaluation.headed_lines import HeadedLines, read_lines
from referent.rle import RLE, decode, encode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from referent.segmentation import Segmentation
    from referent.tracking.objects import Name
    from referent.video import Frame, Video

MASKS, OVERLAY, LINES = "masks", "overlay.mp4", "tracks.jsonl"
KIND = "tracks"
FORMAT = 2


@dataclass(frozen=True)
class TracksHeader:
    """The first line: what was asked of which model about which video.

    Attributes:
        video, model: as the user named them.
        objects: by name, phrase and masks.
        numbers: of the objects in the palette pictures.
        smoothing: see `AnySegmenter.track`.
        procedure: by which the objects are followed; None for a model that sees each frame alone.
        precision: the model ran in: "float32", "bfloat16".
        referent_tracks: version of the layout.
    """

    video: str
    model: str
    objects: dict[str, dict[str, Any]]
    numbers: dict[str, int]
    smoothing: float
    procedure: str | None
    precision: str
    referent_tracks: int = FORMAT


@dataclass(frozen=True)
class TrackLine:
    """One object in one frame.

    Attributes:
        name: of the object.
        found, score, box: as of `Segmentation`.
        segmentation: None where it was not found.
    """

    name: str
    found: bool
    score: float
    box: list[int] | None
    segmentation: RLE | None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W), of one that was found."""
        assert self.segmentation is not None
        return decode(self.segmentation)


class Tracks:
    """The files of one run.

    Attributes:
        found: for each frame that is done, the objects that are in it.

    Args:
        out: folder, made when missing.
        header: of the run.
        resume: go on with what an earlier run of the same header left in `out`.
        video: that is followed; None where no overlay is wanted.

    Raises:
        DataError: `out` cannot be written, or holds what this run must not touch.
    """

    def __init__(self, out: Path, header: TracksHeader, resume: bool, video: Video | None) -> None:
        from referent.video import VideoWriter

        self.out, self._header = out, header
        path = out / LINES
        if path.exists() and not resume:
            raise DataError(f"{path}: there is a run already; --resume goes on with it, or name another folder")
        with _writing(out):
            (out / MASKS).mkdir(parents=True, exist_ok=True)
        self._lines = HeadedLines(path, header, KIND)
        self.found = [_names(_frame_of(line)) for _, line in read_lines(path, TracksHeader, KIND)]
        self._earlier = read_lines(path, TracksHeader, KIND)
        self._overlay = None if video is None else VideoWriter(out / OVERLAY, video.rate)

    def __enter__(self) -> Tracks:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        self._lines.close()
        if self._overlay is not None:
            self._overlay.__exit__(kind, *rest)

    def repeat(self, frame: Frame) -> list[TrackLine]:
        """The next of the frames that an earlier run has done, drawn once more: its overlay cannot be gone on with."""
        lines = _frame_of(next(self._earlier)[1])
        self._draw(frame, lines)
        return lines

    def add(self, frame: Frame, answers: Mapping[Name, Segmentation]) -> None:
        """One more frame.

        Raises:
            DataError, VideoError: the files cannot be written, as on a full disk. The frame counts as not done.
        """
        from referent.data.videos.label_pictures import write_labels
        from referent.tracking.objects import labels_of

        size = frame.picture.height, frame.picture.width
        lines = [_line_of(str(name), answer) for name, answer in answers.items()]
        path = self.out / MASKS / f"{frame.name}.png"
        with _writing(path):
            write_labels(path, labels_of(answers, self._header.numbers, size))
        self._draw(frame, lines)
        content = {"frame": frame.index, "name": frame.name, "seconds": round(frame.seconds, 6), "size": list(size)}
        self._lines.append([content | {"objects": [vars(line) for line in lines]}])
        self.found.append(_names(lines))

    def _draw(self, frame: Frame, lines: Sequence[TrackLine]) -> None:
        from referent.drawing import Label, draw

        if self._overlay is None:
            return
        found, missing, colours = [], [], []
        for line in lines:
            text = self._header.objects[line.name]["phrase"] or line.name
            if line.box is None:
                missing.append(Label(text, f": not found ({line.score:.2f})"))
            else:
                x0, y0, x1, y1 = line.box
                found.append((Label(text, f"  {line.score:.2f}"), line.mask, (x0, y0, x1, y1)))
                colours.append(self._header.numbers[line.name] - 1)
        self._overlay.add(draw(frame.picture, found, missing, colours), frame.seconds)


def _line_of(name: str, answer: Segmentation) -> TrackLine:
    box = None if answer.box is None else list(answer.box)
    return TrackLine(name, answer.found, round(answer.score, 6), box, encode(answer.mask) if answer.found else None)


def _names(lines: Sequence[TrackLine]) -> tuple[str, ...]:
    return tuple(line.name for line in lines if line.found)


def _frame_of(line: Mapping[str, Any]) -> list[TrackLine]:
    return [TrackLine(**one) for one in line["objects"]]


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}") from error
