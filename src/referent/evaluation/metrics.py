"""From pixel counts to the numbers of a protocol and to AUROC, each with a bootstrap interval over pictures.

Shape letters: N phrases, P pictures, C classes, K numbers, R bootstrap replicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError
from referent.evaluation.protocols import PRECISION_AT, Protocol

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEVEL = 0.95
REPLICATES = 1000
# Weights held at once: 8 MB of float64, whatever the size of the data set.
HELD_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Interval:
    """A number with its bootstrap interval.

    Attributes:
        value: the number, in [0, 1]; None where it is not defined (N-acc of a set in which every phrase is true).
        low, high: ends of the 95 % interval; None where `value` is None or no replicate defines it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


UNDEFINED = Interval(None)


@dataclass(frozen=True)
class Draws:
    """A number and what the bootstrap made of it.

    Draws of the same pictures, replicates and seed come from the same resamples, row by row, so that their differences
    are paired.

    Attributes:
        value: the number, in [0, 1]; NaN where it is not defined.
        drawn: (R,) the number in each replicate, NaN where it is not defined.
    """

    value: float
    drawn: Floats

    def interval(self) -> Interval:
        """The number with the middle 95 % of what was drawn."""
        if not np.isfinite(self.value):
            return UNDEFINED
        drawn = self.drawn[np.isfinite(self.drawn)]
        if not len(drawn):
            return Interval(self.value)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(self.value, float(low), float(high))

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.value - other.value, self.drawn - other.drawn)


@dataclass(frozen=True)
class Counts:
    """What one protocol keeps of N phrases.

    Attributes:
        intersection: (N,) pixels in both answer and truth; as the next two an area where boxes are compared.
        union: (N,) pixels in either.
        predicted: (N,) pixels in the answer.
        present: (N,) the phrase is true of something in its picture.
        pixels: (N,) all pixels compared; only means over classes need them.
        classes: (N,) any integers, one a class; only means over classes need them.
    """

    intersection: Floats
    union: Floats
    predicted: Floats
    present: Bools
    pixels: Ints | None = None
    classes: Ints | None = None

    def __getitem__(self, rows: Bools) -> Counts:
        return Counts(
            self.intersection[rows],
            self.union[rows],
            self.predicted[rows],
            self.present[rows],
            None if self.pixels is None else self.pixels[rows],
            None if self.classes is None else self.classes[rows],
        )

    def __len__(self) -> int:
        return len(self.union)


def scores(
    protocol: Protocol, counts: Counts, picture: Ints, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """All numbers of one protocol.

    * oIoU, cIoU: sum of intersections over sum of unions, all phrases; what is drawn for an absent phrase adds to the
      union.
    * mIoU, gIoU: mean IoU over all phrases; where answer and truth are both empty the protocol says what IoU that is.
    * mIoU-present: the same over the phrases that are true of something.
    * Pr@X: share of the present phrases whose IoU reaches X.
    * T-acc, N-acc: share of present phrases with an answer that is not empty; of absent phrases with an empty one.
    * accuracy: Pr@0.5, of boxes.
    * class-mIoU: mean over classes of the oIoU of a class; one without any pixel in answer or truth has none.
    * FB-IoU: mean of oIoU and of the oIoU of the background, over all phrases.

    Args:
        counts: of N phrases.
        picture: (N,) which picture each phrase is about; pictures are what is resampled.
        replicates: of the bootstrap; 0 for none.
        seed: of the bootstrap.
    """
    return {name: draws.interval() for name, draws in drawn_scores(protocol, counts, picture, replicates, seed).items()}


def drawn_scores(
    protocol: Protocol, counts: Counts, picture: Ints, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Draws]:
    """`scores` before their intervals, for differences between the answers of two models."""
    columns = {name: pair for name, pair in _columns(protocol, counts).items() if name in protocol.numbers}
    above = np.stack([column for column, _ in columns.values()], axis=1).astype(float)
    below = np.stack([column for _, column in columns.values()], axis=1).astype(float)
    found = dict(zip(columns, ratios(above, below, picture, replicates, seed), strict=True))
    if protocol.over == "classes":
        found |= _over_classes(counts, picture, replicates, seed)
    return {name: found[name] for name in protocol.numbers}


def _columns(protocol: Protocol, counts: Counts) -> dict[str, tuple[NDArray[np.generic], NDArray[np.generic]]]:
    """For each number that is a ratio of sums over phrases what is summed, above and below, (N,) each."""
    iou = protocol.iou(counts.intersection, counts.union)
    present, drawn = counts.present.astype(float), counts.predicted > 0
    overall, mean = (counts.intersection, counts.union), (iou, np.ones(len(counts)))
    return {
        "oIoU": overall,
        "cIoU": overall,
        "mIoU": mean,
        "gIoU": mean,
        "mIoU-present": (iou * present, present),
        **{f"Pr@{at}": (protocol.reached(iou, at) * present, present) for at in PRECISION_AT},
        "accuracy": (protocol.reached(iou, 0.5) * present, present),
        "T-acc": (drawn * present, present),
        "N-acc": (~drawn * (1 - present), 1 - present),
    }


def _over_classes(counts: Counts, picture: Ints, replicates: int, seed: int) -> dict[str, Draws]:
    if counts.pixels is None or counts.classes is None:
        raise DataError("means over classes: the class and the size of every picture must be known")
    background = counts.pixels - counts.union, counts.pixels - counts.intersection
    above = np.stack([counts.intersection, background[0]], axis=1).astype(float)
    below = np.stack([counts.union, background[1]], axis=1).astype(float)
    both = ratios(above, below, picture, replicates, seed)
    classes, members = np.unique(counts.classes, return_inverse=True)
    each: list[Draws] = []
    # One column a class, few at a time: phrases times classes may be more than fits.
    step = max(1, HELD_AT_ONCE // max(1, len(counts)))
    for start in range(0, len(classes), step):
        belongs = members[:, None] == np.arange(start, min(start + step, len(classes)))
        above, below = belongs * counts.intersection[:, None], belongs * counts.union[:, None]
        each += ratios(above.astype(float), below.astype(float), picture, replicates, seed)
    return {"class-mIoU": mean(each), "FB-IoU": mean(both)}


def mean(numbers: list[Draws]) -> Draws:
    """Over those that are defined, replicate by replicate."""
    if not numbers:
        return Draws(np.nan, np.empty(0))
    table = np.stack([np.concatenate([[number.value], number.drawn]) for number in numbers])
    defined = np.isfinite(table)
    means = _divided(np.where(defined, table, 0).sum(axis=0), defined.sum(axis=0).astype(float))
    return Draws(float(means[0]), means[1:])


def ratios(above: Floats, below: Floats, picture: Ints, replicates: int, seed: int) -> list[Draws]:
    """K ratios of sums, over everything and in each replicate.

    Args:
        above, below: (N, K); the ratio of number k is `above[:, k].sum() / below[:, k].sum()`.
        picture: (N,) any integers; phrases with an equal one are resampled together.
        replicates, seed: of the bootstrap.
    """
    names, rows = np.unique(picture, return_inverse=True)
    # A replicate's ratio needs only each picture's sums: one matrix product for all replicates.
    above, below = _sums(above, rows, len(names)), _sums(below, rows, len(names))
    values = _divided(above.sum(axis=0), below.sum(axis=0))
    resampled = [_divided(weights @ above, weights @ below) for weights in resamples(len(names), replicates, seed)]
    drawn = np.concatenate([np.empty((0, len(values))), *resampled])
    return [Draws(float(value), drawn[:, index]) for index, value in enumerate(values)]


def auroc(score: Floats, present: Bools, picture: Ints, replicates: int = REPLICATES, seed: int = 0) -> Interval:
    """Chance that a present phrase scores higher than an absent one, ties counting half.

    Args:
        score: (N,) how sure the model is that the phrase is true of anything.
        present: (N,) whether it is.
        picture: (N,) which picture each phrase is about.
        replicates, seed: of the bootstrap.
    """
    return drawn_auroc(score, present, picture, replicates, seed).interval()


def drawn_auroc(score: Floats, present: Bools, picture: Ints, replicates: int = REPLICATES, seed: int = 0) -> Draws:
    """`auroc` before its interval, for differences between the answers of two models."""
    names, rows = np.unique(picture, return_inverse=True)
    order = np.argsort(score, kind="stable")
    score, present, rows = score[order], present[order], rows[order]
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]])[: len(score)])

    def area(weights: Floats) -> Floats:
        """(R, N) weights of the phrases, in order of score, to (R,) areas."""
        positive = np.add.reduceat(weights * present, starts, axis=1)
        negative = np.add.reduceat(weights * ~present, starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative / 2
        return _divided((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))

    if not len(score):
        return Draws(np.nan, np.empty(0))
    value = area(np.ones((1, len(score))))[0]
    resampled = [
        area(part[:, rows])
        for weights in resamples(len(names), replicates if np.isfinite(value) else 0, seed)
        for part in np.array_split(weights, -(-len(weights) * len(rows) // HELD_AT_ONCE))
    ]
    return Draws(float(value), np.concatenate([np.empty(0), *resampled]))


def resamples(pictures: int, replicates: int, seed: int) -> Iterator[Floats]:
    """How often each picture is drawn in each replicate: parts of an (R, P) matrix, few rows at a time."""
    random = np.random.default_rng(seed)
    step = max(1, HELD_AT_ONCE // max(1, pictures))
    for start in range(0, replicates if pictures else 0, step):
        rows = min(step, replicates - start)
        drawn = random.integers(0, pictures, (rows, pictures)) + np.arange(rows)[:, None] * pictures
        yield np.bincount(drawn.ravel(), minlength=rows * pictures).reshape(rows, pictures).astype(float)


def _sums(values: Floats, rows: Ints, pictures: int) -> Floats:
    """(N, K) to (P, K): the sum over each picture's phrases."""
    columns = [np.bincount(rows, column, minlength=pictures) for column in values.T]
    return np.stack(columns, axis=1)


def _divided(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where below is 0."""
    divided: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return divided
