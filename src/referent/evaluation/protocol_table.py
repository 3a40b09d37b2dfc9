"""The rules of protocols as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from referent.evaluation.protocols import Protocol

_REFUSALS = {
    "ignored": "counts all the same",
    "empty": "counts as empty",
    "missed": "counts as empty, in the union as drawn",
}
_OVERLAPS = {"union": "any polygon", "once": "exactly one polygon"}


def _compared(protocol: Protocol) -> str:
    if protocol.compared == "boxes":
        return "boxes; the target that fits best"
    return "original size" if protocol.squash is None else f"squashed to {protocol.squash} x {protocol.squash}, nearest"


def _precision(protocol: Protocol) -> str:
    at = [name.removeprefix("Pr@") for name in protocol.numbers if name.startswith("Pr@")]
    sign = ">" if protocol.strict else ">="
    if protocol.compared == "boxes":
        return f"{sign} 0.5 (accuracy)"
    return f"{sign} {at[0]} ... {at[-1]}" if at else "-"


_COLUMNS: Mapping[str, Callable[[Protocol], str]] = {
    "protocol": lambda protocol: f"`{protocol.name}` v{protocol.version}",
    "published pictures": lambda protocol: protocol.picture or "the model's own",
    "published sentences": lambda protocol: {None: "-", "sent": "cleaned", "raw": "as typed"}[protocol.wording],
    "compared": _compared,
    "probability >": lambda protocol: "the model's own" if protocol.threshold is None else f"{protocol.threshold:g}",
    "truth: covered by": lambda protocol: _OVERLAPS[protocol.overlap],
    "not found": lambda protocol: _REFUSALS[protocol.refusal],
    "both empty": lambda protocol: f"{protocol.both_empty:g}",
    "IoU": lambda protocol: f"I / (U + {protocol.epsilon:g})" if protocol.epsilon else "I / U",
    "Pr@X": _precision,
    "mean over": lambda protocol: protocol.over,
    "headline": lambda protocol: ", ".join(protocol.headline),
}


def rules(protocols: Iterable[Protocol]) -> str:
    """A markdown table with one row a protocol, without a line end after it."""
    lines = [list(_COLUMNS), ["---"] * len(_COLUMNS)]
    lines += [[written(protocol) for written in _COLUMNS.values()] for protocol in protocols]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
