"""Greedy non-maximum suppression, whatever the boxes are and however their overlap is measured."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def non_maximum_suppression(
    count: int, overlapping: Callable[[int], NDArray[np.bool_]], most: int | None = None
) -> list[int]:
    """Of rows, best first, those that overlap no better one that is kept.

    Args:
        count: n rows.
        overlapping: of a row that is kept, (n,): which rows are not to be kept beside it; asked only of such.
        most: rows at most; all where None.
    """
    covered = np.zeros(count, dtype=np.bool_)
    kept: list[int] = []
    for row in range(count):
        if len(kept) == most:
            break
        if not covered[row]:
            kept.append(row)
            covered |= overlapping(row)
    return kept
