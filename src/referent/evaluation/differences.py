"""Paired differences between results, with bootstrap intervals over pictures: overall and for groups of phrases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from referent.evaluation import metrics
from referent.evaluation.metrics import Draws, Interval, Ints
from referent.evaluation.pairing import Pairing, Saved, differing_settings, pair
from referent.evaluation.phrase_facts import groups
from referent.evaluation.protocols import CLASS, Protocol
from referent.evaluation.result import Bootstrap

FORMAT = 1


@dataclass(frozen=True)
class Paired:
    """One number of every result.

    Attributes:
        values: of each result, in their order.
        differences: of the second and each further result to the first; positive where the first is lower.
    """

    values: tuple[Interval, ...]
    differences: tuple[Interval, ...]


@dataclass(frozen=True)
class Group:
    """Some of the phrases.

    Attributes:
        by: what the phrases are told apart by ("kind", "length", ...); "" for the group of all.
        name: which of them these are ("colour", "1 word", ...); "all phrases".
        phrases, pictures, absent: how many, and how many of the phrases are true of nothing.
        numbers: those of the protocol, and "AUROC" for the group of all.
    """

    by: str
    name: str
    phrases: int
    pictures: int
    absent: int
    numbers: Mapping[str, Paired]


@dataclass(frozen=True)
class ProtocolDifferences:
    """What one protocol says: its rules, and its numbers for all phrases, then for each group."""

    protocol: Protocol
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Part:
    """Results on one split of one data set.

    Attributes:
        dataset, split: what was asked.
        names: of the results' files, in their order; the first is what the others are compared with.
        phrases: how many all of them answered; only these are compared.
        notes: what was left out, a sentence each.
        settings: what the results were made with, as far as it differs: name to one value a result.
        protocols: by name.
    """

    dataset: str
    split: str
    names: tuple[str, ...]
    phrases: int
    notes: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    protocols: Mapping[str, ProtocolDifferences]


@dataclass(frozen=True)
class Differences:
    """A comparison of results.

    Attributes:
        parts: one a data set and split.
        bootstrap: how the intervals were made. The results of a part are resampled together.
        command: that made it; None when it was made from Python.
    """

    parts: tuple[Part, ...]
    bootstrap: Bootstrap
    command: str | None = None
    format: int = field(default=FORMAT)

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


def differences(
    saved: Sequence[Saved],
    protocols: Iterable[str] = (),
    *,
    replicates: int = metrics.REPLICATES,
    seed: int = 0,
    command: str | None = None,
) -> Differences:
    """Compare results, phrase by phrase of the same picture.

    In each replicate of the bootstrap the same pictures are drawn for all results, and the numbers subtracted: how hard
    a picture is cancels, and the interval of a difference is as a rule much shorter than those of the two numbers.

    Args:
        saved: two or more of each data set and split; the first of each is what the others are compared with.
        protocols: names; all that the results have in common when empty.
        replicates, seed: of the bootstrap.
        command: kept.

    Raises:
        DataError: the results do not compare, see `pair`.
    """
    parts = tuple(_part(pairing, replicates, seed) for pairing in pair(saved, protocols))
    return Differences(parts, Bootstrap(replicates, seed), command)


def usual_number(protocol: Protocol) -> str:
    """The number to look at for a group of phrases: mean IoU, where a small object weighs as much as a large one, or
    what the protocol has in its place."""
    return "mIoU" if "mIoU" in protocol.numbers else protocol.headline[0]


def _part(pairing: Pairing, replicates: int, seed: int) -> Part:
    first = pairing.saved[0]
    return Part(
        first.result.dataset,
        first.result.split,
        tuple(one.name for one in pairing.saved),
        len(pairing.rows[0]),
        pairing.notes,
        differing_settings(pairing.saved),
        {
            protocol.name: ProtocolDifferences(protocol, tuple(_Columns(pairing, protocol).groups(replicates, seed)))
            for protocol in pairing.protocols
        },
    )


class _Columns:
    """What all results say under one protocol of the N phrases that enter its numbers, in one order."""

    def __init__(self, pairing: Pairing, protocol: Protocol) -> None:
        entering = pairing.entering(protocol)
        chosen = [rows[entering] for rows in pairing.rows]
        first, rows = pairing.saved[0].predictions, chosen[0]
        self.protocol = protocol
        self.phrases = [first.phrases[row] for row in rows]
        self.tags = [first.tags[row] for row in rows]
        self.present = first.present[rows]
        self.picture = _numbered(first.pictures[row] for row in rows)
        classes, pixels = _numbered(tags.get(CLASS, "") for tags in self.tags), first.pixels[rows]
        self.counts = []
        for one, own in zip(pairing.saved, chosen, strict=True):
            intersection, union, predicted = one.predictions.counts[protocol.key][own].T
            self.counts.append(metrics.Counts(intersection, union, predicted, self.present, pixels, classes))
        self.scores = [one.predictions.score[own] for one, own in zip(pairing.saved, chosen, strict=True)]

    def groups(self, replicates: int, seed: int) -> Iterator[Group]:
        everything = np.ones(len(self.phrases), dtype=bool)
        for by, name, rows in (("", "all phrases", everything), *groups(self.phrases, self.tags, self.present)):
            picture = self.picture[rows]
            draws = [
                metrics.drawn_scores(self.protocol, counts[rows], picture, replicates, seed) for counts in self.counts
            ]
            if not by:
                for one, score in zip(draws, self.scores, strict=True):
                    one["AUROC"] = metrics.drawn_auroc(score, self.present, picture, replicates, seed)
            numbers = {number: _compared([one[number] for one in draws]) for number in draws[0]}
            absent = int((~self.present[rows]).sum())
            yield Group(by, name, int(rows.sum()), len(np.unique(picture)), absent, numbers)


def _compared(draws: Sequence[Draws]) -> Paired:
    first, *others = draws
    return Paired(
        tuple(one.interval() for one in draws),
        tuple((other - first).interval() for other in others),
    )


def _numbered(values: Iterable[str]) -> Ints:
    """(N,) int: equal for equal values."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], dtype=np.int64)
