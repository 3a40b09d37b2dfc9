"""COCO's average precision of boxes over resampled pictures.

pycocotools matches boxes picture by picture (`COCOeval.evalImgs`). A picture drawn twice counts its matches twice, so
that every replicate is a weighing of the same matches and nothing is matched again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.evaluation.metrics import HELD_AT_ONCE, Draws, Floats, mean, resamples

# Of COCOeval's twelve numbers the first six: name, IoU (None for 0.5 to 0.95), and which of its ranges of area.
NUMBERS: Sequence[tuple[str, float | None, int]] = (
    ("mAP", None, 0),
    ("AP50", 0.5, 0),
    ("AP75", 0.75, 0),
    ("AP-small", None, 1),
    ("AP-medium", None, 2),
    ("AP-large", None, 3),
)


@dataclass(frozen=True)
class Matches:
    """What became of the D boxes of one class in one range of area, best first, at T thresholds of IoU.

    Attributes:
        picture: (D,) which of P pictures each is in.
        right, wrong: (T, D); both false for a box that does not count.
        true: (P,) true boxes that count.
    """

    picture: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    true: Floats


def drawn_precisions(evaluation: Any, replicates: int, seed: int) -> Mapping[str, Draws]:
    """`NUMBERS` and what the bootstrap over pictures makes of them.

    Args:
        evaluation: a COCOeval of boxes, summarised.
        replicates, seed: of the bootstrap.
    """
    found: dict[str, Draws] = {}
    for area in dict.fromkeys(area for _, _, area in NUMBERS):
        thresholds = evaluation.params.iouThrs
        table = [_precisions(matches, evaluation, replicates, seed) for matches in _matches(evaluation, area)]
        for name, iou, its_area in NUMBERS:
            if its_area == area:
                chosen = np.full(len(thresholds), True) if iou is None else np.isclose(thresholds, iou)
                drawn = mean([Draws(np.nan, values[:, chosen].mean(1)) for values in table]).drawn
                value = float(evaluation.stats[[other for other, _, _ in NUMBERS].index(name)])
                found[name] = Draws(value if value >= 0 else np.nan, drawn)
    return found


def _matches(evaluation: Any, area: int) -> Iterator[Matches]:
    """Of every class."""
    pictures, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    most = evaluation.params.maxDets[-1]
    for number in range(len(evaluation.params.catIds)):
        start = (number * areas + area) * pictures
        rows = [
            (picture, row)
            for picture, row in enumerate(evaluation.evalImgs[start : start + pictures])
            if row is not None
        ]
        true = np.zeros(pictures)
        for picture, row in rows:
            true[picture] = np.count_nonzero(np.asarray(row["gtIgnore"]) == 0)
        if not true.any():
            continue
        scores = np.concatenate([row["dtScores"][:most] for _, row in rows])
        order = np.argsort(-scores, kind="mergesort")
        matched, ignored = (
            np.concatenate([row[key][:, :most] for _, row in rows], axis=1)[:, order].astype(bool)
            for key in ("dtMatches", "dtIgnore")
        )
        where = np.concatenate([np.full(len(row["dtScores"][:most]), picture) for picture, row in rows])
        yield Matches(where[order].astype(np.int64), matched & ~ignored, ~matched & ~ignored, true)


def _precisions(matches: Matches, evaluation: Any, replicates: int, seed: int) -> Floats:
    """(R, T) average precisions of one class, NaN where no true box was drawn."""
    recalls = evaluation.params.recThrs
    found = np.full((replicates, len(matches.right)), np.nan)
    first = 0
    for drawn in resamples(len(matches.true), replicates, seed):
        for weights in np.array_split(drawn, -(-drawn.shape[0] * max(1, len(matches.picture)) // HELD_AT_ONCE)):
            true = weights @ matches.true
            each = weights[:, matches.picture]
            for number, (right, wrong) in enumerate(zip(matches.right, matches.wrong, strict=True)):
                rights, wrongs = np.cumsum(each * right, axis=1), np.cumsum(each * wrong, axis=1)
                precision = rights / np.maximum(rights + wrongs, np.spacing(1))
                best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
                for row in np.flatnonzero(true):
                    places = np.searchsorted(rights[row] / true[row], recalls)
                    reached = places < len(matches.picture)
                    found[first + row, number] = best[row, places[reached]].sum() / len(recalls)
            first += len(weights)
    return found
