"""Answers about videos on disk: label pictures, and one JSON line a video with what each object was worth.

    FOLDER/videos.jsonl                          a header, then a line for each video that is done
    FOLDER/masks/<video>/<frame>.png             palette pictures: numbers of objects
    FOLDER/masks/<video>/<expression>/<frame>.png    of expressions that are answered one by one: 0 and 255

A run with the same header continues where an earlier one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.videos.label_pictures import write_labels
from referent.data.videos.video import Video
from referent.errors import DataError
from referent.evaluation.headed_lines import HeadedLines, read_lines
from referent.evaluation.videos.following import Masks
from referent.evaluation.videos.questions import Question
from referent.evaluation.videos.tracks import Track
from referent.files import atomic_path

FORMAT = 1
KIND = "answers about videos"
LINES, MASKS = "videos.jsonl", "masks"


@dataclass(frozen=True)
class VideoHeader:
    """What every line of one folder has in common; attributes as of `VideoResult`."""

    model: str
    weights_sha256: str | None
    precision: str
    dataset: str
    split: str | None
    given: str
    smoothing: float
    protocols: list[str]
    procedure: str | None
    referent_videos: int = FORMAT


class VideoJournal:
    """A folder being written.

    Args:
        folder: made when missing.
        header: of this run.
        rivals: the answers of a video share its pixels.

    Raises:
        DataError: the folder holds another run's answers, or cannot be written.
    """

    def __init__(self, folder: Path, header: VideoHeader, rivals: bool) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot be made ({error.strerror})") from None
        self.masks, self._rivals = folder / MASKS, rivals
        self._lines = HeadedLines(folder / LINES, header, KIND)

    def __enter__(self) -> VideoJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def earlier(self) -> dict[str, tuple[Track, ...]]:
        """What is done, by video."""
        return dict(read_journal(self._lines.path))

    def keep(self, video: Video, question: Question, frame: int, answers: Masks) -> None:
        """The answers to one frame, as pictures.

        Raises:
            OSError: they cannot be written.
        """
        place, name = self.masks / question.folder / video.name, f"{video.frames[frame].stem}.png"
        if self._rivals:
            labels = np.zeros(video.size, dtype=np.uint8)
            for number, mask in answers.items():
                labels[mask] = number
            place.mkdir(parents=True, exist_ok=True)
            write_labels(place / name, labels)
            return
        none = np.zeros(video.size, dtype=bool)
        for number, one in question.names.items():
            (place / one).mkdir(parents=True, exist_ok=True)
            _write_mask(place / one / name, answers.get(number, none))

    def done(self, video: Video, tracks: Sequence[Track]) -> None:
        """All of a video is answered."""
        self._lines.append(
            [{"video": video.name, "frames": len(video.frames), "tracks": [asdict(one) for one in tracks]}]
        )


def read_journal(path: Path) -> Iterator[tuple[str, tuple[Track, ...]]]:
    """Name and tracks of every video that is done.

    Raises:
        DataError: missing, of another kind, or a broken line (its number is named).
    """
    for number, line in read_lines(path, VideoHeader, KIND):
        try:
            yield str(line["video"]), tuple(map(_track, line["tracks"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: line {number}: expected a video, found {str(line)[:60]!r}") from error


def _track(found: Mapping[str, Any]) -> Track:
    content: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }
    return Track(**content)


def _write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    with atomic_path(path, sync=False) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, format="PNG")
