"""Official parameter names to ours and back, by an explicit table, strict in both directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from referent.errors import WeightsError, listed

_COUNTER = "num_batches_tracked"  # never read by a BatchNorm with a fixed momentum; old files lack it


@dataclass(frozen=True)
class Row:
    """One row of a table: names that begin with `ours` begin with `theirs` in the official file.

    Attributes:
        ours, theirs: beginnings of names.
        part: which of the `parts` equal blocks of rows of their tensor is ours (q, k, v packed in one), or None for
            the whole tensor.
        parts: number of blocks.
    """

    ours: str
    theirs: str
    part: int | None = None
    parts: int = 3


def packed_attention(ours: str, theirs: str) -> list[Row]:
    """Rows for an attention whose official q, k, v are one `in_proj`. Both prefixes end with a dot."""
    rows = [Row(f"{ours}{name}.", f"{theirs}in_proj_", part) for part, name in enumerate(("query", "key", "value"))]
    return [*rows, Row(f"{ours}out.", f"{theirs}out_proj.")]


def prefixed(rows: Iterable[Row], *, ours: str = "", theirs: str = "") -> list[Row]:
    """The same rows with a prefix before each side."""
    return [replace(row, ours=ours + row.ours, theirs=theirs + row.theirs) for row in rows]


def _place(name: str, table: Sequence[Row]) -> tuple[str, int | None, int]:
    row = max((row for row in table if name.startswith(row.ours)), key=lambda row: len(row.ours), default=None)
    if row is None:
        raise WeightsError(f"no official name for {name}: the model has parts that the published one lacks")
    return row.theirs + name[len(row.ours) :], row.part, row.parts


def to_ours(
    official: Mapping[str, Tensor], wanted: Mapping[str, Tensor], table: Sequence[Row], what: str
) -> dict[str, Tensor]:
    """Translate official tensors into a state dict of ours.

    Args:
        official: official name -> tensor.
        wanted: our state dict (its tensors may be on the meta device): which names, which shapes. Floating tensors
            take on the dtype of `wanted`.
        table: rows; the longest `ours` that fits counts.
        what: named in errors, for example "CRIS-R50 checkpoint".

    Raises:
        WeightsError: names missing, left over, or of another shape. Counters of BatchNorm may be missing (zero).
    """
    places = {name: _place(name, table) for name in wanted}
    needed = {theirs for theirs, _, _ in places.values()}
    missing = {name for name in needed - set(official) if not name.endswith(_COUNTER)}
    extra = set(official) - needed
    if missing or extra:
        problems = [f"missing {listed(missing)}"] if missing else []
        problems += [f"unexpected {listed(extra)}"] if extra else []
        raise WeightsError(f"not a {what}: {'; '.join(problems)}")
    ours: dict[str, Tensor] = {}
    for name, (theirs, part, parts) in places.items():
        like = wanted[name]
        if theirs not in official:
            ours[name] = torch.zeros(like.shape, dtype=like.dtype)
            continue
        value = official[theirs]
        if part is not None:
            rows = value.shape[0] // parts
            value = value[part * rows : (part + 1) * rows]
        if value.shape != like.shape:
            raise WeightsError(f"not a {what}: {theirs} is {tuple(value.shape)}, expected {tuple(like.shape)}")
        ours[name] = value.to(like.dtype)
    return ours


def to_theirs(ours: Mapping[str, Tensor], table: Sequence[Row]) -> dict[str, Tensor]:
    """The inverse of `to_ours`: our state dict under official names, packed tensors packed again.

    Raises:
        WeightsError: a name of ours that the table does not hold.
    """
    packed: dict[str, dict[int, Tensor]] = {}
    for name, value in ours.items():
        theirs, part, _ = _place(name, table)
        packed.setdefault(theirs, {})[part or 0] = value
    # By part, not in the order of `ours`: files keep names in an order of their own.
    return {
        name: parts[0] if len(parts) == 1 else torch.cat([parts[part] for part in sorted(parts)])
        for name, parts in packed.items()
    }
