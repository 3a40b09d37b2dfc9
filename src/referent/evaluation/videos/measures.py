"""How well one mask fits another: region (J) and boundary (F), as DAVIS defines them (Perazzi et al., CVPR 2016).

The boundary measure is that of the official toolkit in all its details: boundaries lie on the pixel left of or above a
change, the tolerance is rounded up, and a frame in which one side has no boundary counts 0, or 1 where neither has.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

TOLERANCE = 0.008
"""Of the picture's diagonal: how far apart two boundaries may lie and still match."""
REACHED = 0.5
"""A frame counts for recall when its value is greater."""
QUARTERS = 4


def region(truth: Mask, answer: Mask, void: Mask | None = None) -> float:
    """J: intersection over union; 1 where both are empty.

    Args:
        truth, answer: (H, W).
        void: (H, W) pixels that do not count.
    """
    if void is not None:
        truth, answer = truth & ~void, answer & ~void
    union = int(np.count_nonzero(truth | answer))
    return int(np.count_nonzero(truth & answer)) / union if union else 1.0


def boundary(truth: Mask, answer: Mask, void: Mask | None = None, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of the shares of each boundary that lies within the tolerance of the other.

    Args:
        truth, answer: (H, W).
        void: (H, W) pixels that count as background on both sides.
        tolerance: share of the diagonal, rounded up to whole pixels; from 1 on, pixels.
    """
    if void is not None:
        truth, answer = truth & ~void, answer & ~void
    radius = math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(*truth.shape))
    edges = outline(truth), outline(answer)
    counts = [int(np.count_nonzero(edge)) for edge in edges]
    if not all(counts):
        # The official toolkit gives precision or recall 1 to the side that is empty; their mean is 0 all the same.
        return 0.0 if any(counts) else 1.0
    of_truth, of_answer = (
        close_to(edge, other, radius) / count for edge, other, count in zip(edges, reversed(edges), counts, strict=True)
    )
    return 2 * of_truth * of_answer / (of_truth + of_answer) if of_truth + of_answer else 0.0


def outline(mask: Mask) -> Mask:
    """(H, W): the pixels that differ from the one to the right, below, or below to the right.

    In the last row only the neighbour to the right counts, in the last column only the one below, and the last corner
    is never on a boundary; at the left and upper border of the picture there is none.
    """
    edge = np.zeros_like(mask)
    edge[:, :-1] = mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def close_to(points: Mask, mask: Mask, radius: int) -> int:
    """How many of the set pixels of one mask are at most `radius` away from a set pixel of another.

    Args:
        points, mask: (H, W).
        radius: in pixels.
    """
    # Of each row, counts of set pixels up to each column; a disk is 2 x radius + 1 rows of consecutive pixels.
    room = (radius, radius), (radius + 1, radius)
    sums = np.cumsum(np.pad(mask, room), axis=1, dtype=np.int32)
    rows, columns = (index[:, None] + radius for index in np.nonzero(points))
    asides = np.arange(-radius, radius + 1)
    halves = np.array([math.isqrt(radius * radius - int(aside) ** 2) for aside in asides])
    rows = rows + asides
    reached = sums[rows, columns + halves + 1] > sums[rows, columns - halves]
    return int(np.count_nonzero(reached.any(axis=1)))


def recall(values: NDArray[np.float64]) -> float:
    """Share of the frames whose value is greater than `REACHED`.

    Args:
        values: (T,) of one object, at least one.
    """
    return float((values > REACHED).mean())


def decay(values: NDArray[np.float64]) -> float:
    """Mean of the first quarter of the frames less that of the last; neighbouring quarters share a frame.

    The official toolkit keeps the quarters' ends in 8 bits, which goes wrong beyond 256 frames (DAVIS has at most 104);
    here they stay right.

    Args:
        values: (T,) of one object in the order of time, at least one.
    """
    ends = (np.round(np.linspace(1, len(values), QUARTERS + 1) + 1e-10) - 1).astype(int)
    return float(values[ends[0] : ends[1] + 1].mean() - values[ends[-2] : ends[-1] + 1].mean())
