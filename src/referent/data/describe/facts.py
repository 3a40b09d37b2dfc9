"""What is measured of a picture's objects: boxes, centres, areas, contact, colours. Plain arrays, no words yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from referent.data.describe import colour
from referent.data.describe.truth import Flags, Numbers

# Below this share of the picture, or this many pixels, an object may be overlooked: people would not count it.
OVERLOOKED_SHARE = 0.0012
OVERLOOKED_PIXELS = 60
# An object this much smaller than the largest of its class may be overlooked too.
OVERLOOKED_RATIO = 0.02
# A gap of this share of the box between parts that both have this share of the area: perhaps two things in one mask.
SCATTERED_GAP, SCATTERED_SHARE = 0.05, 0.15
# Fewer coloured pixels than this say nothing about an object's colour.
COLOUR_PIXELS = 60


@dataclass(frozen=True, eq=False)
class Scene:
    """n objects of one picture, in the picture's pixels after shrinking; x grows to the right, y downwards.

    Attributes:
        size: (height, width).
        ids: annotation ids.
        names: class names.
        crowd: (n,) the annotation stands for an uncounted group.
        masks: n masks, (H, W) bool, none empty.
        box: (n, 4) x0, y0, x1, y1; x1 and y1 lie just outside.
        centre: (n, 2) centroid x, y.
        area: (n,) pixels.
        sure, perhaps: (n, 13) share of the object that surely, perhaps has each colour.
        worn: (n, 13) share of the upper body that surely has each colour; 0 where there is no upright body.
        coloured: (n,) enough pixels to judge colour at all.
    """

    size: tuple[int, int]
    ids: tuple[int, ...]
    names: tuple[str, ...]
    crowd: Flags
    masks: tuple[NDArray[np.bool_], ...]
    box: Numbers
    centre: Numbers
    area: Numbers
    sure: Numbers
    perhaps: Numbers
    worn: Numbers
    coloured: Flags

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def overlooked(self) -> Flags:
        """(n,) so small that people may not count it."""
        height, width = self.size
        tiny = self.area < max(OVERLOOKED_PIXELS, OVERLOOKED_SHARE * height * width)
        names = np.array(self.names)
        largest = np.array([self.area[names == name].max() for name in self.names])
        small: Flags = tiny | (self.area < OVERLOOKED_RATIO * largest)
        return small

    @cached_property
    def scattered(self) -> Flags:
        """(n,) in two parts with a gap between: either something stands before it, or the mask holds two things."""
        parts = (
            mask[int(y0) : int(y1), int(x0) : int(x1)]
            for mask, (x0, y0, x1, y1) in zip(self.masks, self.box, strict=True)
        )
        return np.array([any(_has_gap(part.sum(axis=axis)) for axis in (0, 1)) for part in parts], dtype=bool)

    @cached_property
    def gap(self) -> Numbers:
        """(n, n) pixels between two boxes, 0 where they touch or overlap."""
        x0, y0, x1, y1 = self.box.T
        across = np.maximum(0, np.maximum(x0[:, None] - x1[None], x0[None] - x1[:, None]))
        down = np.maximum(0, np.maximum(y0[:, None] - y1[None], y0[None] - y1[:, None]))
        apart: Numbers = np.hypot(across, down)
        return apart

    def shared(self, axis: int) -> Numbers:
        """(n, n) length of the overlap of two boxes along x (axis 0) or y (axis 1), over the shorter one; 0..1."""
        low, high = self.box[:, axis], self.box[:, axis + 2]
        overlap = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
        shorter = np.minimum((high - low)[:, None], (high - low)[None])
        ratio: Numbers = np.clip(overlap / shorter, 0, 1)
        return ratio

    def touches(self, first: int, second: int, reach: int = 3) -> bool:
        """Whether two masks come within `reach` pixels of each other."""
        x0, y0, x1, y1 = self.box[first].astype(int)
        height, width = self.size
        rows, columns = (
            slice(max(0, y0 - reach), min(height, y1 + reach)),
            slice(max(0, x0 - reach), min(width, x1 + reach)),
        )
        near, other = self.masks[first][rows, columns], self.masks[second][rows, columns]
        if not other.any():
            return False
        for _ in range(reach):
            near = _grown(near)
        return bool((near & other).any())

    def under(self, index: int, reach: int = 4) -> NDArray[np.intp]:
        """Flat indices of the pixels just below an object's lower outline (inside the picture)."""
        height, width = self.size
        x0, y0, x1, y1 = self.box[index].astype(int)
        part = self.masks[index][y0:y1, x0:x1]
        columns = np.flatnonzero(part.any(axis=0))
        lowest = y0 + part.shape[0] - 1 - part[::-1, columns].argmax(axis=0)
        # The outline of the lower fifth alone: what is under an arm is not what the body stands on.
        low = lowest >= y1 - max(2, (y1 - y0) // 5)
        rows = lowest[low] + reach
        inside = rows < height
        flat: NDArray[np.intp] = rows[inside] * width + (columns[low][inside] + x0)
        return flat


def _has_gap(counts: NDArray[np.int64]) -> bool:
    """Whether pixel counts along one axis fall into two parts of some size, with nothing between."""
    filled = np.flatnonzero(counts)
    steps = np.diff(filled)
    if len(steps) == 0 or steps.max() - 1 < max(3, SCATTERED_GAP * len(counts)):
        return False
    share = counts[: filled[steps.argmax()] + 1].sum() / counts.sum()
    return bool(SCATTERED_SHARE <= share <= 1 - SCATTERED_SHARE)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask and its four neighbours."""
    grown = mask.copy()
    grown[1:] |= mask[:-1]
    grown[:-1] |= mask[1:]
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    return grown


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without its outline, where the neighbours' colours bleed in."""
    inner = mask.copy()
    inner[1:] &= mask[:-1]
    inner[:-1] &= mask[1:]
    inner[:, 1:] &= mask[:, :-1]
    inner[:, :-1] &= mask[:, 1:]
    return inner


def measure(
    masks: Sequence[NDArray[np.bool_]],
    names: Sequence[str],
    ids: Sequence[int],
    crowd: Sequence[bool],
    picture: NDArray[np.uint8] | None,
) -> Scene:
    """The scene of n masks, each (H, W) bool and not empty, and an (H, W, 3) picture (None: no colour is known)."""
    count, kinds = len(masks), len(colour.MEASURED)
    size: tuple[int, int] = (masks[0].shape[0], masks[0].shape[1]) if count else (1, 1)
    box, centre, area = np.zeros((count, 4)), np.zeros((count, 2)), np.zeros(count)
    sure, perhaps, worn = np.zeros((count, kinds)), np.ones((count, kinds)), np.zeros((count, kinds))
    coloured = np.zeros(count, dtype=bool)
    pixels = colour.coarse(picture) if picture is not None and colour.tells_colours(picture) else None
    for i, mask in enumerate(masks):
        down, across = mask.sum(axis=1), mask.sum(axis=0)
        rows, columns = np.flatnonzero(down), np.flatnonzero(across)
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        area[i] = down.sum()
        box[i] = x0, y0, x1, y1
        centre[i] = (np.arange(size[1]) + 0.5) @ across / area[i], (np.arange(size[0]) + 0.5) @ down / area[i]
        if pixels is None:
            continue
        part, inside = pixels[y0:y1, x0:x1], mask[y0:y1, x0:x1]
        inner = _eroded(inside)
        inside = inner if inner.sum() >= COLOUR_PIXELS else inside
        coloured[i] = inside.sum() >= COLOUR_PIXELS
        sure[i], perhaps[i] = colour.shares(part[inside])
        if y1 - y0 >= 1.5 * (x1 - x0):
            # The upper body of someone upright: below the head, above the hips.
            top, bottom = int(0.22 * (y1 - y0)), int(0.5 * (y1 - y0))
            upper = part[top:bottom][inside[top:bottom]]
            if len(upper) >= COLOUR_PIXELS:
                worn[i] = colour.shares(upper)[0]
    return Scene(
        size,
        tuple(ids),
        tuple(names),
        np.array(crowd, dtype=bool),
        tuple(masks),
        box,
        centre,
        area,
        sure,
        perhaps,
        worn,
        coloured,
    )
