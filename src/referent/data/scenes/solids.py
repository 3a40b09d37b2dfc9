"""Rays against spheres, cubes and cylinders: where a ray is inside of them, and which way the surface faces.

All three are convex, so a ray is inside of one along a single stretch. Shapes: rays are (3, ...) arrays, float32.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.world import Shape, Thing

Floats: TypeAlias = NDArray[np.floating[Any]]

BEVEL = 0.07
"""Width of the rounded look of edges, as a share of half a side. Only the normals are rounded, the outline is not."""
_TINY = 1e-9


def dot(one: Floats, other: Floats) -> Floats:
    """Scalar products (...) of vectors (3, ...)."""
    result: Floats = one[0] * other[0] + one[1] * other[1] + one[2] * other[2]
    return result


def to_local(thing: Thing, points: Floats) -> Floats:
    """Points of the world, (3, ...), where `thing` is the unit solid: radius, half a side and half the height are 1."""
    x, y, z = thing.centre
    return turned(thing, np.stack([points[0] - x, points[1] - y, points[2] - z]))


def turned(thing: Thing, directions: Floats) -> Floats:
    """Directions of the world, (3, ...), where `thing` is the unit solid."""
    scale = 1 / thing.half
    if thing.look.shape != "cube":
        return directions * scale
    cosine, sine = scale * math.cos(thing.turn), scale * math.sin(thing.turn)
    x, y, z = directions
    return np.stack([cosine * x + sine * y, cosine * y - sine * x, scale * z])


def span(shape: Shape, origin: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Where rays enter and leave the unit solid.

    Args:
        shape: which solid.
        origin: (3,) or (3, ...).
        direction: (3, ...), of any length.

    Returns:
        near, far (...): multiples of `direction`; a ray that misses has near > far.
    """
    if shape == "sphere":
        return _round(dot(direction, direction), dot(origin, direction), dot(origin, origin) - 1)
    if shape == "cube":
        near, far = _slab(origin[0], direction[0])
        for axis in (1, 2):
            enters, leaves = _slab(origin[axis], direction[axis])
            near, far = np.maximum(near, enters), np.minimum(far, leaves)
        return near, far
    near, far = _round(
        direction[0] * direction[0] + direction[1] * direction[1],
        origin[0] * direction[0] + origin[1] * direction[1],
        origin[0] * origin[0] + origin[1] * origin[1] - 1,
    )
    enters, leaves = _slab(origin[2], direction[2])
    return np.maximum(near, enters), np.minimum(far, leaves)


def normal(shape: Shape, point: Floats) -> Floats:
    """Outward unit normals (3, N), not yet turned back into the world, at points (3, N) on the unit solid's surface."""
    if shape == "sphere":
        return point
    rim = 1 - BEVEL
    if shape == "cube":
        steep = np.copysign(np.maximum(np.abs(point) - rim, 0), point)
    else:
        radius = np.maximum(np.hypot(point[0], point[1]), _TINY)
        outwards = np.maximum(radius - rim, 0) / radius
        up = np.copysign(np.maximum(np.abs(point[2]) - rim, 0), point[2])
        steep = np.stack([point[0] * outwards, point[1] * outwards, up])
    length = np.sqrt(dot(steep, steep))
    result: Floats = steep / np.maximum(length, _TINY)
    return result


def turned_back(thing: Thing, directions: Floats) -> Floats:
    """Unit vectors (3, N) of the unit solid in the world."""
    if thing.look.shape != "cube":
        return directions
    cosine, sine = math.cos(thing.turn), math.sin(thing.turn)
    x, y, z = directions
    return np.stack([cosine * x - sine * y, cosine * y + sine * x, z])


def _round(a: Floats, b: Floats, c: Floats) -> tuple[Floats, Floats]:
    """Roots of a t**2 + 2 b t + c; where there are none, a stretch of negative length."""
    a = np.maximum(a, _TINY)
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    missed = inside < 0
    near, far = (-b - root) / a, (-b + root) / a
    near[missed], far[missed] = np.inf, -np.inf
    return near, far


def _slab(origin: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Where rays cross the stretch from -1 to 1 of one axis."""
    inverse = 1 / np.where(np.abs(direction) < _TINY, _TINY, direction)
    middle, half = -origin * inverse, np.abs(inverse)
    return middle - half, middle + half
