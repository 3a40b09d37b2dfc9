"""What the camera sees where: which thing each sample of the picture hits, and the masks that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.solids import Floats, span, to_local, turned
from referent.data.scenes.world import Camera, Scene, Thing

SAMPLES = 2
"""Samples along each side of a pixel."""

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a camera sees of a scene.

    A pixel belongs to a thing that takes half of its samples or more; where two take half each, to the nearer.

    Attributes:
        scene: what is seen.
        size: (height, width) of the picture in pixels.
        owner: (height * SAMPLES, width * SAMPLES) int8: index of the thing that a sample hits, -1 for none.
        distance: of the same shape, float32: how far along its ray, in multiples of `rays`; inf for none.
        masks: a (height, width) bool for each thing: the pixels where it is seen.
        full: the same, had it been alone.
    """

    scene: Scene
    size: tuple[int, int]
    owner: NDArray[np.int8]
    distance: Floats
    masks: tuple[NDArray[np.bool_], ...]
    full: tuple[NDArray[np.bool_], ...]

    def visible(self) -> NDArray[np.float64]:
        """(N,) in [0, 1]: which share of each thing's pixels is seen; 0 for a thing outside the picture."""
        return np.array([mask.sum() / max(1, full.sum()) for mask, full in zip(self.masks, self.full, strict=True)])


def trace(scene: Scene, size: tuple[int, int]) -> Trace:
    """Looks at a scene in a picture of `size` (height, width)."""
    height, width = size[0] * SAMPLES, size[1] * SAMPLES
    owner = np.full((height, width), -1, dtype=np.int8)
    distance = np.full((height, width), np.inf, dtype=np.float32)
    full = [np.zeros(size, dtype=bool) for _ in scene.things]
    masks = [np.zeros(size, dtype=bool) for _ in scene.things]
    windows = [_window(thing, scene.camera, size) for thing in scene.things]
    start = scene.camera.position.astype(np.float32)
    for index, (thing, window) in enumerate(zip(scene.things, windows, strict=True)):
        rows, columns = (places(side, SAMPLES) for side in window)
        directions = rays(scene.camera, size, columns, rows[:, None])
        near, far = span(thing.look.shape, to_local(thing, start), turned(thing, directions))
        hit = near < far
        inside = _samples_in(window)
        first = hit & (near < distance[inside])
        owner[inside][first] = index
        distance[inside][first] = near[first]
        full[index][window] = _count(hit) >= SAMPLES * SAMPLES // 2
    taken = np.zeros(size, dtype=bool)
    depth = scene.camera.project(np.array([thing.centre for thing in scene.things]).reshape(-1, 3), size)[:, 2]
    for index in np.argsort(depth, kind="stable"):
        window = windows[index]
        seen = (_count(owner[_samples_in(window)] == index) >= SAMPLES * SAMPLES // 2) & ~taken[window]
        masks[index][window] = seen
        taken[window] |= seen
    return Trace(scene, size, owner, distance, tuple(masks), tuple(full))


def rays(camera: Camera, size: tuple[int, int], x: Floats, y: Floats) -> Floats:
    """Directions (3, ...) through places of the picture, x and y in pixels; 1 long along the camera's axis."""
    scale = 1 / (camera.focal * min(size))
    across, along = (x - size[1] / 2) * scale, (size[0] / 2 - y) * scale
    # One after the other, as x is often a row and y a column: their sum alone is large.
    return np.stack([(axis[0] * across + axis[2]) + axis[1] * along for axis in camera.axes.T.tolist()])


def places(pixels: slice, samples: int) -> Floats:
    """Where the samples of a row or column of pixels lie."""
    where: Floats = (np.arange(pixels.start * samples, pixels.stop * samples, dtype=np.float32) + 0.5) / samples
    return where


def box_of_corners(thing: Thing, camera: Camera, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 in pixels, which may lie outside the picture: no smaller than what the thing covers."""
    sides = [(place - thing.reach, place + thing.reach) for place in (thing.x, thing.y)]
    corners = np.array(list(product(*sides, (0.0, 2 * thing.half))))
    seen = camera.project(corners, size)
    return float(seen[:, 0].min()), float(seen[:, 1].min()), float(seen[:, 0].max()), float(seen[:, 1].max())


def _window(thing: Thing, camera: Camera, size: tuple[int, int]) -> Window:
    """The part of the picture that the thing may cover."""
    x0, y0, x1, y1 = box_of_corners(thing, camera, size)

    def inside(low: float, high: float, side: int) -> slice:
        return slice(min(max(int(low) - 1, 0), side), min(max(int(high) + 2, 0), side))

    return inside(y0, y1, size[0]), inside(x0, x1, size[1])


def _samples_in(window: Window) -> Window:
    rows, columns = (slice(side.start * SAMPLES, side.stop * SAMPLES) for side in window)
    return rows, columns


def _count(samples: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many samples of each pixel are set."""
    counts = samples[0::SAMPLES, 0::SAMPLES].astype(np.uint8)
    for row in range(SAMPLES):
        for column in range(SAMPLES):
            if row or column:
                counts += samples[row::SAMPLES, column::SAMPLES]
    return counts
