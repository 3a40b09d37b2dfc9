"""Episodes of an evaluation: a class, a picture to find it in, pictures that show it. Equal for everybody.

They depend on the data's order, the seed and the numbers asked for alone: Python's `random()` gives the same numbers
on every machine and version. Among the same classes the 1-shot and 5-shot episodes of a seed have the same queries, and
the first of five examples is the one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias, get_args

from referent.data.few_shot.class_set import ClassSet
from referent.data.sample import Sample
from referent.errors import DataError

Listing: TypeAlias = Literal["drawn", "every", "first"]
"""Which episodes there are. "drawn": a number of them, class, query and examples drawn evenly (PASCAL-5i, COCO-20i).
"every": every picture of every class is a query once, its examples are drawn (HSNet and VAT on FSS-1000). "first": the
same, and the examples are the first other pictures of the class in their files' order (UniRef++ on FSS-1000)."""
LISTINGS: tuple[Listing, ...] = get_args(Listing)

EPISODES = 1000
SEEDS = 5
"""The usual numbers of PASCAL-5i and COCO-20i."""


@dataclass(frozen=True)
class Episode:
    """One question of an evaluation.

    Attributes:
        name: of the class.
        query: the picture in which it is to be found, and where it is.
        supports: other pictures that show it.
    """

    name: str
    query: Sample
    supports: tuple[Sample, ...]


def episodes(
    classes: ClassSet, shots: int, seed: int, listing: Listing = "drawn", count: int = EPISODES
) -> list[Episode]:
    """The episodes of one seed; classes of too few pictures must be left out before (`ClassSet.with_pictures`).

    Args:
        classes: each of more than `shots` pictures.
        shots: examples an episode.
        seed: of the drawing; "first" draws nothing.
        listing: which episodes.
        count: how many, for "drawn".

    Raises:
        DataError: a class has not enough pictures.
    """
    for name, samples in classes.classes.items():
        if len(samples) <= shots:
            raise DataError(f"{classes.name}: {shots} shots need {shots + 1} pictures of {name}, found {len(samples)}")
    if listing == "drawn":
        return [_drawn(classes, shots, Random(f"{seed}/{number}")) for number in range(count)]
    found = []
    for name, samples in classes.classes.items():
        for number, query in enumerate(samples):
            others = [sample for sample in samples if sample is not query]
            if listing == "every":
                others = _taken(others, shots, Random(f"{seed}/{name}/{number}"))
            found.append(Episode(name, query, tuple(others[:shots])))
    return found


def _drawn(classes: ClassSet, shots: int, random: Random) -> Episode:
    names = list(classes.classes)
    name = names[int(random.random() * len(names))]
    query, *supports = _taken(classes.classes[name], 1 + shots, random)
    return Episode(name, query, tuple(supports))


def _taken(samples: Sequence[Sample], count: int, random: Random) -> list[Sample]:
    """`count` of them, each at most once; the first ones are the same for every `count`."""
    rows = list(range(len(samples)))
    return [samples[rows.pop(int(random.random() * len(rows)))] for _ in range(count)]
