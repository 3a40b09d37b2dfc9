"""Which results compare, over which phrases and under which protocols; what does not compare is refused or said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from referent.errors import DataError
from referent.evaluation.metrics import Bools, Ints
from referent.evaluation.protocols import Protocol
from referent.evaluation.reading import Predictions, read_predictions, read_result
from referent.evaluation.result import Result


@dataclass(frozen=True)
class Saved:
    """A result with what every phrase was answered.

    Attributes:
        name: of its file, short, and no other's among those it is compared with.
        result, predictions: see there.
    """

    name: str
    result: Result
    predictions: Predictions


@dataclass(frozen=True)
class Pairing:
    """Results that compare.

    Attributes:
        saved: at least two, of one data set and split.
        rows: for each of them, (N,) rows of its predictions: the same N phrases in the same order.
        protocols: under which all of them have counts.
        notes: what was left out, a sentence each.
    """

    saved: tuple[Saved, ...]
    rows: tuple[Ints, ...]
    protocols: tuple[Protocol, ...]
    notes: tuple[str, ...]

    def entering(self, protocol: Protocol) -> Bools:
        """(N,) which of the phrases enter the protocol's numbers, in every result."""
        each = [
            (one.predictions.counts[protocol.key][rows] >= 0).all(axis=1)
            for one, rows in zip(self.saved, self.rows, strict=True)
        ]
        entering: Bools = np.logical_and.reduce(each)
        return entering


def open_saved(paths: Sequence[Path]) -> list[Saved]:
    """Result files with their predictions.

    Raises:
        DataError: a file cannot be read, or has no predictions.
    """
    names = _short(paths)
    results = [read_result(path) for path in paths]
    return [
        Saved(name, result, read_predictions(result, str(path)))
        for name, path, result in zip(names, paths, results, strict=True)
    ]


def pair(saved: Sequence[Saved], protocols: Iterable[str] = ()) -> list[Pairing]:
    """The results by data set and split, each with those it compares with, in the order given.

    Args:
        saved: two or more of each data set and split.
        protocols: only these; all when empty.

    Raises:
        DataError: a result alone on its data set or split, no protocol or no phrase in common, or the data differ.
    """
    asked: dict[tuple[str, str], list[Saved]] = {}
    for one in saved:
        asked.setdefault((one.result.dataset, one.result.split), []).append(one)
    alone = [members[0].name for members in asked.values() if len(members) == 1]
    if alone or not asked:
        had = "; ".join(f"{one.name}: {one.result.dataset}, split {one.result.split}" for one in saved)
        raise DataError(
            f"{', '.join(alone) or 'nothing'}: no other result of the same data set and split to compare with ({had})"
        )
    return [_paired(members, list(protocols)) for members in asked.values()]


def differing_settings(saved: Sequence[Saved]) -> dict[str, tuple[str, ...]]:
    """What the results were made with, as far as it is not the same for all: name to one value a result."""
    settings = [_settings(one) for one in saved]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = {name: tuple(one.get(name, "-") for one in settings) for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _paired(saved: list[Saved], asked: list[str]) -> Pairing:
    protocols, notes = _common_protocols(saved, asked)
    rows, left_out = _common_rows(saved)
    _check_same_data(saved, rows, protocols)
    pairing = Pairing(tuple(saved), rows, protocols, (*notes, *left_out))
    empty = [protocol.name for protocol in protocols if not pairing.entering(protocol).any()]
    if empty:
        raise DataError(f"protocol {', '.join(empty)}: its numbers take none of the phrases that the results share")
    return pairing


def _common_protocols(saved: list[Saved], asked: list[str]) -> tuple[tuple[Protocol, ...], list[str]]:
    common, notes = [], []
    for name in asked or list(dict.fromkeys(name for one in saved for name in one.result.scores)):
        lacking = [one.name for one in saved if name not in one.result.scores]
        if lacking:
            notes.append(f"protocol {name}: not compared, as it is not in {', '.join(lacking)}")
            continue
        rules = [one.result.scores[name].protocol for one in saved]
        if any(other != rules[0] for other in rules):
            versions = ", ".join(f"v{rule.version} in {one.name}" for rule, one in zip(rules, saved, strict=True))
            notes.append(f"protocol {name}: not compared, as its rules differ: {versions}")
            continue
        common.append(rules[0])
        notes += [f"protocol {name}, {one.name}: {note}" for one in saved for note in one.result.scores[name].notes]
    if not common:
        raise DataError(f"no protocol to compare under: {'; '.join(notes)}")
    return tuple(common), notes


def _common_rows(saved: list[Saved]) -> tuple[tuple[Ints, ...], list[str]]:
    places = [{name: row for row, name in enumerate(one.predictions.ids)} for one in saved]
    common = [name for name in saved[0].predictions.ids if all(name in place for place in places)]
    if not common:
        raise DataError(f"{' and '.join(one.name for one in saved)}: no phrase (sample id) in common")
    notes = [
        f"{one.name}: {len(common)} of its {len(one.predictions)} phrases compared; the others are not in every result"
        for one in saved
        if len(one.predictions) > len(common)
    ]
    notes += [
        f"{one.name}: its numbers were of {one.result.phrases} phrases, "
        f"its predictions hold {len(one.predictions)} by now"
        for one in saved
        if len(one.predictions) != one.result.phrases
    ]
    return tuple(np.array([place[name] for name in common]) for place in places), notes


def _check_same_data(saved: list[Saved], rows: tuple[Ints, ...], protocols: tuple[Protocol, ...]) -> None:
    """The same id must be the same question with the same truth, or the differences are not the models'."""
    first, first_rows = saved[0], rows[0]
    for one, own_rows in zip(saved[1:], rows[1:], strict=True):
        for row, other in zip(first_rows.tolist(), own_rows.tolist(), strict=True):
            ours, theirs = first.predictions.phrases[row], one.predictions.phrases[other]
            if ours != theirs:
                _refuse(first, one, row, f"asks {ours!r} in {first.name} and {theirs!r} in {one.name}")
        for protocol in protocols:
            truth, other_truth = (
                _truth(saved.predictions, protocol)[rows] for saved, rows in ((first, first_rows), (one, own_rows))
            )
            for place in np.flatnonzero(truth != other_truth)[:1]:
                _refuse(first, one, int(first_rows[place]), f"has {truth[place]} and {other_truth[place]} true pixels")


def _truth(predictions: Predictions, protocol: Protocol) -> Ints:
    """(N,) pixels of the truth where the counts tell them, else whether there are any."""
    if protocol.compared == "boxes" or protocol.refusal == "missed":
        return predictions.present.astype(np.int64)
    intersection, union, predicted = predictions.counts[protocol.key].T
    truth: Ints = (union - predicted + intersection).astype(np.int64)
    return truth


def _refuse(first: Saved, second: Saved, row: int, what: str) -> None:
    raise DataError(
        f"{first.name} and {second.name}: sample {first.predictions.ids[row]} {what}: the data set was changed between "
        "the two; evaluate both on the same data"
    )


def _settings(saved: Saved) -> Mapping[str, str]:
    result, header = saved.result, saved.predictions.header
    return {
        "model": result.model,
        "weights": (result.weights_sha256 or "unknown").removeprefix("tensors:")[:12],
        "threshold": f"{header.threshold:g}",
        "where": "; ".join(f"{tag}={','.join(values)}" for tag, values in result.where.items()) or "everything",
        "smallest": f"{result.smallest:g}",
        "limit": str(result.limit or "none"),
        "phrases": str(len(saved.predictions)),
        "pictures left out": str(len(result.failed)),
        "pictures missing": str(result.missing.pictures),
        **{name: str(value) for name, value in result.machine.items()},
        **result.versions,
    }


def _short(paths: Sequence[Path]) -> list[str]:
    """Stems, with as many folders before them as tell the files apart."""
    whole = [path.absolute().with_suffix("") for path in paths]
    for depth in range(1, max((len(path.parts) for path in whole), default=1) + 1):
        names = ["/".join(path.parts[-depth:]) for path in whole]
        if len(set(names)) == len(set(whole)):
            return names
    return [str(path) for path in paths]
