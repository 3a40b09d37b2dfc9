"""Answers to the frames of a video: from a tracker, or from a folder of pictures that some program has written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from referent.data.videos.label_pictures import read_labels
from referent.data.videos.video import Video
from referent.errors import DataError
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.questions import Question
from referent.reference import ReferenceLike
from referent.tracking.objects import Name, labels_of

if TYPE_CHECKING:
    from referent.asking import AnySegmenter
    from referent.segmentation import Segmentation

Masks = Mapping[int, NDArray[np.bool_]]
"""(H, W) by number of the answer; what was not found is not among them."""


class Source(Protocol):
    """Where answers come from.

    Attributes:
        seconds: spent on answering so far.
        procedure: by which objects are followed; None where there is none.
    """

    seconds: float
    procedure: str | None

    def answers(self, video: Video, question: Question) -> Iterator[tuple[int, Masks]]:
        """Index and masks of every frame from the question's first on."""
        ...


class Following:
    """A tracker on every video.

    Args:
        segmenter: the model.
        protocol: says whether the answers share their pixels.
        procedure: of the tracker; None for a model that sees each frame alone.
        smoothing: see `AnySegmenter.track`.
    """

    def __init__(
        self, segmenter: AnySegmenter, protocol: VideoProtocol, procedure: str | None, smoothing: float = 0.0
    ) -> None:
        self._segmenter, self._protocol, self._smoothing = segmenter, protocol, smoothing
        self.seconds = 0.0
        self.procedure = procedure

    def answers(self, video: Video, question: Question) -> Iterator[tuple[int, Masks]]:
        """See `Source.answers`; one frame at a time is in memory.

        Raises:
            ReferentError: a frame or reference cannot be used.
        """
        began = perf_counter()
        objects: dict[Name, ReferenceLike | None] = {number: one for number, one in question.references.items()}  # noqa: C416
        tracker = self._segmenter.track(
            objects,
            procedure=self.procedure,
            smoothing=self._smoothing,
        )
        self.seconds += perf_counter() - began
        numbers: dict[Name, int] = {number: number for number in question.names}
        for index in range(question.first, len(video.frames)):
            masks = _shown_masks(video, index, question.shown.get(index, ()))
            began = perf_counter()
            found = tracker.step(video.frames[index], masks)
            self.seconds += perf_counter() - began
            _check_sizes(video, index, found)
            if self._protocol.rivals:
                labels = labels_of(found, numbers, video.size)
                yield index, {number: labels == number for number in np.unique(labels[labels > 0]).tolist()}
            else:
                yield index, {int(name): answer.mask for name, answer in found.items() if answer.found}


def _shown_masks(video: Video, index: int, numbers: Sequence[int]) -> dict[Name, NDArray[np.bool_]]:
    known = video.masks.at(index).masks if numbers else {}
    missing = [str(number) for number in numbers if number not in known]
    if missing:
        raise DataError(
            f"{video.frames[index]}: object {', '.join(missing)} begins here, and its mask does not show it"
        )
    return {number: known[number] for number in numbers}


def _check_sizes(video: Video, index: int, answers: Mapping[Name, Segmentation]) -> None:
    for answer in answers.values():
        if answer.mask.shape != video.size:
            height, width = video.size
            raise DataError(
                f"{video.frames[index]}: expected {height} x {width} (height x width) as the first frame, found "
                f"{answer.mask.shape[0]} x {answer.mask.shape[1]}"
            )


class Written:
    """Label pictures of answers in `FOLDER/VIDEO/FRAME.png`, as the servers take them; of expressions in
    `FOLDER/VIDEO/EXPRESSION/FRAME.png`.

    Args:
        folder: of the answers.
        protocol: says whether the answers share their pixels.
    """

    def __init__(self, folder: Path, protocol: VideoProtocol) -> None:
        self._folder, self._protocol = folder, protocol
        self.seconds = 0.0
        self.procedure: str | None = None

    def answers(self, video: Video, question: Question) -> Iterator[tuple[int, Masks]]:
        """See `Source.answers`; frames whose masks are not known are not read.

        Raises:
            DataError: a picture is missing, cannot be read, or has another size.
        """
        place = self._folder / question.folder / video.name
        for index in video.masks.annotated:
            if index < question.first:
                continue
            name = f"{video.frames[index].stem}.png"
            if self._protocol.rivals:
                labels = read_labels(place / name, video.size)
                numbers = np.unique(labels[labels > 0]).tolist()
                if numbers and numbers[-1] > max(question.names):
                    raise DataError(
                        f"{place / name}: expected numbers up to {max(question.names)}, found {numbers[-1]}"
                    )
                yield index, {number: labels == number for number in numbers}
            else:
                said = {
                    number: read_labels(place / one / name, video.size) > 0 for number, one in question.names.items()
                }
                yield index, {number: mask for number, mask in said.items() if mask.any()}
