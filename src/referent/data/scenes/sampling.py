"""Scenes by chance, or by order: things that stand apart, inside the picture, and are seen well enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TypeAlias

import numpy as np

from referent.data.scenes.relations import APART_ACROSS, APART_ALONG, Relation, across, along, relations
from referent.data.scenes.tracing import box_of_corners, trace
from referent.data.scenes.world import COLOURS, MATERIALS, SHAPES, SIZES, Camera, Look, Scene, Thing
from referent.errors import DataError

Order: TypeAlias = tuple[int, Relation, int]
"""(2, "left", 0): the third thing stands left of the first."""

FEWEST, MOST = 3, 9
"""Things in a scene by chance."""
FIELD = 3.4
"""Things stand within this of the middle, to the side and in depth."""
GAP = 0.2
"""Between any two things, at least."""
BORDER = 0.03
"""Share of the picture's shorter side that stays free along its edges."""
SEEN = 0.35
"""Share of each thing that others must leave visible."""
_TRIES, _STARTS, _FEW_STARTS = 40, 200, 6
_LOOKING = 80
"""Shorter side, in pixels, of the small picture that visibility is judged on."""


def sample_scene(random: Random, size: tuple[int, int] = (256, 256)) -> Scene:
    """A scene by chance, for pictures of `size` (height, width)."""
    while True:
        # Nine large things rarely fit: then others are drawn, rather than tried for long. A few always fit.
        scene = _found_place(sample_looks(random, random.randint(FEWEST, MOST)), random, size, (), _FEW_STARTS)
        if scene is not None:
            return scene


def sample_looks(random: Random, count: int) -> list[Look]:
    """Looks by chance. Few colours and shapes at a time, so that things are easily taken for each other."""
    colours = random.sample(sorted(COLOURS), random.randint(2, len(COLOURS)))
    shapes = random.sample(SHAPES, random.choice((2, 3, 3)))
    return [
        Look(random.choice(shapes), random.choice(colours), random.choice(SIZES), random.choice(MATERIALS))
        for _ in range(count)
    ]


def arrange(
    looks: Sequence[Look], random: Random, size: tuple[int, int] = (256, 256), orders: Sequence[Order] = ()
) -> Scene:
    """A scene of exactly these things, in this order, that stand as ordered and otherwise by chance.

    Every two things are clearly apart across and in depth, so that of every two one is left of the other, and one in
    front (`relations`); at least `SEEN` of each is visible.

    Args:
        looks: what the things look like.
        random: decides the rest.
        size: (height, width) of the picture that they must be inside of.
        orders: relations that must hold.

    Raises:
        DataError: nowhere to put them, as the orders contradict each other or there are too many things.
    """
    scene = _found_place(looks, random, size, orders, _STARTS)
    if scene is None:
        raise DataError(f"found no place for {len(looks)} things with {len(orders)} relations; ask for less")
    return scene


def sample_camera(random: Random) -> Camera:
    """A camera near its usual place."""
    return Camera(
        azimuth=random.uniform(-0.4, 0.4),
        elevation=random.uniform(0.4, 0.56),
        distance=random.uniform(10.0, 11.2),
        aim=(random.uniform(-0.15, 0.15), random.uniform(-0.15, 0.15), random.uniform(0.0, 0.3)),
        focal=random.uniform(1.5, 1.7),
    )


def sample_lamp(random: Random) -> tuple[float, float, float]:
    """A lamp behind the camera's left or right shoulder."""
    side = random.choice((-1, 1))
    return side * random.uniform(3.5, 5.5), random.uniform(-6.5, -4.0), random.uniform(7.5, 9.5)


def clear_of(thing: Thing, others: Sequence[Thing]) -> bool:
    """Whether a thing touches none of the others."""
    return all(
        (thing.x - other.x) ** 2 + (thing.y - other.y) ** 2 >= (thing.reach + other.reach + GAP) ** 2
        for other in others
    )


def inside(thing: Thing, camera: Camera, size: tuple[int, int]) -> bool:
    """Whether the picture holds the whole thing, with a border."""
    border = BORDER * min(size)
    x0, y0, x1, y1 = box_of_corners(thing, camera, size)
    return border <= x0 and border <= y0 and x1 <= size[1] - border and y1 <= size[0] - border


def _found_place(
    looks: Sequence[Look], random: Random, size: tuple[int, int], orders: Sequence[Order], starts: int
) -> Scene | None:
    for _ in range(starts):
        scene = _arranged(looks, random, size, orders)
        if scene is not None and _well_seen(scene, size):
            return scene
    return None


def _arranged(looks: Sequence[Look], random: Random, size: tuple[int, int], orders: Sequence[Order]) -> Scene | None:
    """One attempt, thing by thing."""
    camera, lamp = sample_camera(random), sample_lamp(random)
    wide = FIELD * max(1.0, size[1] / size[0])
    things: list[Thing] = []
    for index, look in enumerate(looks):
        due = [order for order in orders if max(order[0], order[2]) == index]
        for _ in range(_TRIES):
            x, y = camera.on_plane(random.uniform(-wide, wide), random.uniform(-FIELD, FIELD))
            thing = Thing(look, x, y, random.uniform(0, math.pi))
            if not (clear_of(thing, things) and inside(thing, camera, size)):
                continue
            scene = Scene((*things, thing), camera, lamp)
            if _apart_from_last(scene) and all(relations(scene)[how][one, other] for one, how, other in due):
                things.append(thing)
                break
        else:
            return None
    return Scene(tuple(things), camera, lamp)


def _apart_from_last(scene: Scene) -> bool:
    right, away = across(scene), along(scene)
    return bool(
        (np.abs(right[:-1] - right[-1]) >= APART_ACROSS).all() and (np.abs(away[:-1] - away[-1]) >= APART_ALONG).all()
    )


def _well_seen(scene: Scene, size: tuple[int, int]) -> bool:
    scale = _LOOKING / min(size)
    small = trace(scene, (round(size[0] * scale), round(size[1] * scale)))
    return bool((small.visible() >= SEEN).all())
