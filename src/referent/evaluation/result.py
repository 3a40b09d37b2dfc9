"""The result of an evaluation and its JSON file: never a number without what it was measured on, how, and with what."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from referent.data.sample import Missing
from referent.evaluation.few_shot import FewShotScores
from referent.evaluation.metrics import LEVEL, Interval
from referent.evaluation.protocols import Protocol
from referent.evaluation.source import Source
from referent.files import atomic_write

FORMAT = 2


@dataclass(frozen=True)
class Scores:
    """Numbers over some of the phrases.

    Attributes:
        phrases: how many.
        pictures: how many pictures they are about.
        absent: how many of the phrases are true of nothing.
        numbers: those of the protocol, each in [0, 1]; `metrics.scores` defines them.
    """

    phrases: int
    pictures: int
    absent: int
    numbers: Mapping[str, Interval]


@dataclass(frozen=True)
class ProtocolScores:
    """What one protocol says.

    Attributes:
        protocol: all of its rules.
        overall: over all phrases that enter its numbers.
        kinds: the same for each value of the tag `kind`.
        notes: where these numbers were not made as the published ones were.
    """

    protocol: Protocol
    overall: Scores
    kinds: Mapping[str, Scores]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A picture that could not be answered; its phrases are in no number.

    Attributes:
        picture: its path.
        phrases: how many phrases are left out with it.
        error: why.
    """

    picture: str
    phrases: int
    error: str


@dataclass(frozen=True)
class Case:
    """One phrase that went badly.

    Attributes:
        id: of the sample.
        picture: file name of its picture.
        phrase: what was asked.
        iou: under the first protocol.
    """

    id: str
    picture: str
    phrase: str
    iou: float


@dataclass(frozen=True)
class Bootstrap:
    """How the intervals were made: `replicates` resamplings of the pictures, percentiles of `level`."""

    replicates: int
    seed: int
    level: float = LEVEL
    over: str = "pictures"


@dataclass(frozen=True)
class Result:
    """An evaluation.

    Attributes:
        model: name of the model.
        weights_sha256: of its weight file; for a model that is only in memory "tensors:" and the sha256 of its tensors,
            or None where nobody asked for it.
        dataset, split: what was asked.
        where: the filter on tags, empty for all samples.
        smallest: share of the picture that a phrase's targets cover at least, 0 for all phrases.
        limit: at most so many phrases were taken, None for all.
        phrases, pictures, absent: answered phrases, their pictures, phrases that are true of nothing.
        failed: pictures left out.
        scores: by name of the protocol.
        auroc: of the score, present against absent phrases; the same under every protocol.
        worst: phrases with the lowest IoU under the first protocol, at most one a picture.
        bootstrap: how the intervals were made.
        seconds: of this run, model included.
        model_seconds: of it, inside the model with its picture and text preparation.
        resumed: phrases taken from an earlier, interrupted run (their time is not in `seconds`).
        machine, versions: where and with what it ran.
        command: that made it; None when it was made from Python.
        predictions: the file with the predictions it was counted from, None where they were not kept. In a result file
            it is relative to that file, so that the two can be moved together.
        source: where the phrases were read from, None where that is not known; its paths are relative likewise.
        missing: of the whole split, what was left out for want of its pictures, where that was allowed.
        counters: what the model counted, summed over all answered phrases: how often ReCLIP's resolver did what (see
            `models.reclip.statistics`); empty for a model that counts nothing.
        few_shot: means over seeds, classes and episodes, where classes were asked for by examples.
    """

    model: str
    weights_sha256: str | None
    dataset: str
    split: str
    where: Mapping[str, list[str]]
    limit: int | None
    phrases: int
    pictures: int
    absent: int
    failed: tuple[Failure, ...]
    scores: Mapping[str, ProtocolScores]
    auroc: Interval
    worst: tuple[Case, ...]
    bootstrap: Bootstrap
    seconds: float
    model_seconds: float
    resumed: int
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    command: str | None
    predictions: str | None = None
    source: Source | None = None
    missing: Missing = field(default_factory=Missing)
    counters: Mapping[str, int] = field(default_factory=dict)
    few_shot: FewShotScores | None = None
    smallest: float = 0
    format: int = field(default=FORMAT)

    def number(self, name: str, protocol: str | None = None, kind: str | None = None) -> Interval:
        """One number: `result.number("mIoU")`, under the first protocol and over all phrases unless said otherwise.

        Raises:
            KeyError: no such number, protocol or kind in this result.
        """
        if name == "AUROC":
            return self.auroc
        chosen = self.scores[protocol or next(iter(self.scores))]
        return (chosen.kinds[kind] if kind else chosen.overall).numbers[name]

    def at(self, place: Callable[[str], str]) -> Result:
        """The same with `place` done to the path of every file it names."""
        source = self.source
        if source is not None:
            source = replace(source, path=place(source.path), pictures=source.pictures and place(source.pictures))
        return replace(self, predictions=self.predictions and place(self.predictions), source=source)

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def save(self, path: str | Path) -> None:
        """The result as JSON at `path`, all of it or nothing.

        Raises:
            OSError: the folder is missing, not writable or full.
        """
        write_json(self.at(lambda file: relative(file, Path(path).parent)).to_json(), path)


def write_json(content: Mapping[str, Any], path: str | Path) -> None:
    """A result at `path`, all of it or nothing.

    Raises:
        OSError: the folder is missing, not writable or full.
    """
    atomic_write(Path(path), json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def relative(path: str, folder: Path) -> str:
    """A path as seen from a folder."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # On another drive there is no way from one to the other.
        return str(Path(path).absolute())
