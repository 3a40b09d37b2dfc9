"""Which phrases are worth looking at: the worst, the best, and a random sample of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from referent.errors import DataError
from referent.evaluation.metrics import Floats, Ints
from referent.evaluation.protocols import Protocol
from referent.evaluation.reading import Predictions

WORST, BEST, RANDOM = "worst", "best", "random"


@dataclass(frozen=True)
class Case:
    """One phrase to look at.

    Attributes:
        id, phrase, picture, tags: of the sample; `picture` is the path it had when it was asked.
        present, found, score: see `predictions.Answer`.
        iou: under the protocol.
        sets: which of `WORST`, `BEST` and `RANDOM` it is of, one or several.
    """

    id: str
    phrase: str
    picture: str
    tags: Mapping[str, str]
    present: bool
    found: bool
    score: float
    iou: float
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Ious:
    """IoUs of the phrases that enter a protocol's numbers.

    Attributes:
        rows: (N,) of the predictions.
        values: (N,) in [0, 1].
        shared, apart: (N,) pixels of the intersection, and of the union without it.
    """

    rows: Ints
    values: Floats
    shared: Floats
    apart: Floats


def ious(predictions: Predictions, protocol: Protocol) -> Ious:
    """The IoU of every phrase under a protocol.

    Raises:
        DataError: the predictions were not counted under it.
    """
    counts = predictions.counts.get(protocol.key)
    if counts is None:
        known = ", ".join(predictions.counts)
        raise DataError(f"protocol {protocol.key}: the predictions were not counted under it, but under {known}")
    rows = np.flatnonzero((counts >= 0).all(axis=1))
    intersection, union, _ = counts[rows].T
    return Ious(rows, protocol.iou(intersection, union), intersection, union - intersection)


def choose(predictions: Predictions, found: Ious, cases: int, seed: int = 0) -> list[Case]:
    """A third worst, a third best, and the rest drawn from all phrases, whatever else they are; a phrase comes once.

    Of equal IoUs the larger mistake (for the best: the larger object) comes first. Worst and best take one phrase of
    each picture before they take a second. The best are of phrases that are true of something, if there are any: where
    there is nothing to find, drawing nothing is no feat.

    Args:
        predictions, found: of one result.
        cases: how many phrases at most.
        seed: of the random ones.

    Returns:
        The worst, then the best, then the random ones.
    """
    third = cases // 3
    picture = _pictures(predictions, found.rows)
    present = predictions.present[found.rows]
    eligible = present if present.any() else ~present
    worst = _first_of_each(np.lexsort((-found.apart, found.values)), picture)[:third]
    best_first = np.lexsort((-found.shared, -found.values))
    best = _first_of_each(best_first[eligible[best_first]], picture)[:third]
    drawn = np.random.default_rng(seed).permutation(len(found.rows))[: cases - 2 * third]
    sets: dict[int, list[str]] = {}
    for name, places in ((WORST, worst), (BEST, best), (RANDOM, drawn)):
        for place in places.tolist():
            sets.setdefault(place, []).append(name)
    return [_case(predictions, found, place, tuple(names)) for place, names in sets.items()]


def _pictures(predictions: Predictions, rows: Ints) -> Ints:
    """(N,) int: equal for phrases about one picture."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(predictions.pictures[row], len(numbers)) for row in rows], dtype=np.int64)


def _first_of_each(order: Ints, picture: Ints) -> Ints:
    """`order` again, with the first of every picture before the second of any."""
    seen: dict[int, int] = {}
    rounds = []
    for place in order:
        number = int(picture[place])
        rounds.append(seen.get(number, 0))
        seen[number] = rounds[-1] + 1
    sorted_order: Ints = order[np.argsort(rounds, kind="stable")]
    return sorted_order


def _case(predictions: Predictions, found: Ious, place: int, sets: tuple[str, ...]) -> Case:
    row = int(found.rows[place])
    return Case(
        predictions.ids[row],
        predictions.phrases[row],
        predictions.pictures[row],
        predictions.tags[row],
        bool(predictions.present[row]),
        bool(predictions.found[row]),
        float(predictions.score[row]),
        float(found.values[place]),
        sets,
    )
