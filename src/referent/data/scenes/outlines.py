"""Masks as polygons that draw exactly the same mask again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def outlines(mask: NDArray[np.bool_]) -> list[list[int]]:
    """Polygons [x0, y0, x1, y1, ...] along pixel edges that pycocotools draws as exactly this mask (H, W).

    They do not overlap, so loaders that add them up, count parity or unite them all find the same; a thing with a hole
    comes in several.
    """
    polygons: list[list[int]] = []
    open_chains: list[list[tuple[int, int]]] = []
    for x in range(mask.shape[1]):
        runs = _runs(mask[:, x])
        continued: list[list[tuple[int, int]]] = []
        for run in runs:
            # A chain of columns goes on where one run touches one run, and nothing forks or merges.
            before = [chain for chain in open_chains if _touch(chain[-1], run)]
            if len(before) == 1 and sum(_touch(before[0][-1], other) for other in runs) == 1:
                open_chains.remove(before[0])
                continued.append([*before[0], run])
            else:
                continued.append([run])
        polygons += [_polygon(chain, x) for chain in open_chains]
        open_chains = continued
    return polygons + [_polygon(chain, mask.shape[1]) for chain in open_chains]


def _runs(column: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches (top, bottom) of a column that are set, the bottom outside."""
    edges = np.flatnonzero(np.diff(column.astype(np.int8), prepend=0, append=0))
    return [(int(top), int(bottom)) for top, bottom in zip(edges[::2], edges[1::2], strict=True)]


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _polygon(chain: list[tuple[int, int]], end: int) -> list[int]:
    """The outline of runs in neighbouring columns, the last of which is the one before `end`."""
    start = end - len(chain)
    upper: list[int] = []
    lower: list[int] = []
    for x, (top, bottom) in enumerate(chain, start):
        if not upper or top != upper[-1]:
            upper += [x, top] if not upper else [x, upper[-1], x, top]
        if not lower or bottom != lower[-1]:
            lower += [x, bottom] if not lower else [x, lower[-1], x, bottom]
    upper += [end, upper[-1]]
    lower += [end, lower[-1]]
    pairs = [lower[position : position + 2] for position in range(0, len(lower), 2)]
    return upper + [value for pair in reversed(pairs) for value in pair]
