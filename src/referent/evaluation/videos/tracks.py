"""What one object's answers were worth, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from referent.data.videos.video import FrameTruth
from referent.evaluation.videos.measures import boundary, region
from referent.evaluation.videos.protocols import Frames
from referent.layers.assignment import assign

Mask = NDArray[np.bool_]
MOST_ANSWERS = 20
"""Of a video where answers are paired with objects; the official toolkit refuses more."""


@dataclass(frozen=True)
class Track:
    """One object, or one expression, beside its answers.

    Attributes:
        name: number of the object, or id of the expression.
        frames: (T) indices of the video's annotated frames, ascending.
        region, boundary: (T) J and F.
        first: index of the frame in which it begins.
        last: index of the last frame that counts.
        seen: of the data sets that tell known from new things which it is; None of others.
        annotator: whose expression it is.
    """

    name: str
    frames: tuple[int, ...]
    region: tuple[float, ...]
    boundary: tuple[float, ...]
    first: int
    last: int
    seen: bool | None = None
    annotator: int = 0

    def values(self, counted: Frames) -> NDArray[np.float64]:
        """(2, S): J and F in the frames that count; there may be none."""
        frames = np.array(self.frames)
        rows = (frames >= self.first) & (frames <= self.last)
        if counted == "inner":
            rows[[0, -1]] = False
        elif counted == "later":
            rows &= frames > self.first
        return np.array([self.region, self.boundary], dtype=float).reshape(2, -1)[:, rows]


class Comparison:
    """J and F of N targets against M answers, gathered frame by frame: of each its own, or of all pairs.

    Args:
        targets, answers: keys of the masks.
        pairs: for each target its answer; None where every answer is compared with every target.
    """

    def __init__(self, targets: Sequence[int], answers: Sequence[int], pairs: Mapping[int, int] | None) -> None:
        self._targets, self._answers = tuple(targets), tuple(answers)
        self._pairs = pairs
        self.frames: list[int] = []
        self._values: dict[tuple[int, int], list[tuple[float, float]]] = {}

    def add(self, frame: int, truth: FrameTruth, answers: Mapping[int, Mask], size: tuple[int, int]) -> None:
        """One frame; a target or answer without a mask is not there."""
        self.frames.append(frame)
        none = np.zeros(size, dtype=bool)
        for target in self._targets:
            for answer in self._answers if self._pairs is None else (self._pairs[target],):
                masks = truth.masks.get(target, none), answers.get(answer, none)
                value = region(*masks, truth.void), boundary(*masks, truth.void)
                self._values.setdefault((target, answer), []).append(value)

    def values(self) -> dict[int, NDArray[np.float64]]:
        """(2, T) by target: J and F in the order of the frames, with the answer that is its own."""
        pairs = self._matched() if self._pairs is None else self._pairs
        return {target: self._column(target, pairs[target]) for target in self._targets}

    def _column(self, target: int, answer: int | None) -> NDArray[np.float64]:
        if answer is None:
            return np.zeros((2, len(self.frames)))
        return np.array(self._values[target, answer]).reshape(-1, 2).T

    def _matched(self) -> dict[int, int | None]:
        """For each target the answer of the best pairing; none where there are more targets than answers."""
        table = np.zeros((len(self._targets), max(len(self._targets), len(self._answers))))
        for row, target in enumerate(self._targets):
            for column, answer in enumerate(self._answers):
                table[row, column] = self._column(target, answer).mean()
        chosen = assign(-table).tolist()
        return {
            target: self._answers[column] if column < len(self._answers) else None
            for target, column in zip(self._targets, chosen, strict=True)
        }
