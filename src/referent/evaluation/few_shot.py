"""The numbers of a few-shot evaluation: means and standard deviations over seeds of episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from referent.data.few_shot.questions import SEED
from referent.data.sample import Sample
from referent.evaluation.metrics import Bools, Floats, Interval
from referent.evaluation.protocols import CLASS

Scored = Callable[[Bools], Mapping[str, Interval]]
"""The numbers of one protocol over some of the samples, (N,) bool."""


@dataclass(frozen=True)
class Spread:
    """A number over seeds.

    Attributes:
        mean: over the seeds; None where it is not defined for one of them.
        deviation: sample standard deviation over the seeds; None for a single seed.
        seeds: its value for each seed.
    """

    mean: float | None
    deviation: float | None
    seeds: tuple[float | None, ...]

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Spread:
        """Of one value a seed."""
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return cls(None, None, tuple(values))
        return cls(fmean(known), stdev(known) if len(known) > 1 else None, tuple(values))


@dataclass(frozen=True)
class FewShotScores:
    """What only few-shot results have.

    Attributes:
        spreads: by protocol, each of its numbers over seeds.
        classes: of each class the IoU (sum of intersections over sum of unions, first protocol), mean over the seeds
            that asked for it.
        episodes: what was asked, by seed: "number query: examples", each by class and place in the data. The same
            for everybody; those that could not be answered included.
    """

    spreads: Mapping[str, Mapping[str, Spread]]
    classes: Mapping[str, float]
    episodes: Mapping[str, Sequence[str]]


def few_shot_scores(
    samples: Sequence[Sample], answered: Bools, counts: Floats, scored: Mapping[str, Scored]
) -> FewShotScores | None:
    """The scores over seeds; None where the samples are no episodes.

    Args:
        samples: (N,) that were asked.
        answered: (N,) which were answered.
        counts: (N, 3) intersection, union and pixels of the answer under the first protocol.
        scored: by protocol.
    """
    tags = np.array([sample.tags.get(SEED, "") for sample in samples])
    if not tags.all():
        return None
    seeds = list(dict.fromkeys(tags.tolist()))
    spreads = {}
    for protocol, numbers in scored.items():
        each = [numbers(answered & (tags == seed)) for seed in seeds]
        spreads[protocol] = {name: Spread.of([one[name].value for one in each]) for name in each[0]}
    names = np.array([sample.tags[CLASS] for sample in samples])
    return FewShotScores(
        spreads,
        {str(name): _mean_iou(counts, tags, answered & (names == name)) for name in np.unique(names[answered])},
        {seed: [_told(sample) for sample in samples if sample.tags[SEED] == seed] for seed in seeds},
    )


def _mean_iou(counts: Floats, tags: np.ndarray[tuple[int], np.dtype[np.str_]], rows: Bools) -> float:
    sums = [counts[rows & (tags == seed)].sum(axis=0) for seed in np.unique(tags[rows])]
    return fmean(float(intersection / union) if union else 0.0 for intersection, union, _ in sums)


def _told(sample: Sample) -> str:
    return f"{sample.id.partition('/')[2]}: {sample.reference}"
