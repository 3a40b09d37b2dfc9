"""Light on the plane: one lamp of some extent that throws soft shadows, and a sky that things shade from their foot.

Units are linear light. Sizes: N points (3, N) float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from referent.data.scenes.solids import Floats, dot, span, to_local, turned
from referent.data.scenes.world import Scene, Thing

Point: TypeAlias = tuple[float, float, float]

FLOOR = (0.47, 0.465, 0.455)
FAR = (0.60, 0.61, 0.63)
"""What the plane fades into, between the two distances from where it is looked at."""
FADES = 11.0, 34.0
LAMP, SKY = 0.92, 0.44
"""Strengths: of the lamp on what faces it in the middle of the plane, and of the sky on what faces up."""
LAMP_RADIUS, LAMP_POINTS = 0.6, 5
PENUMBRA = 0.8
"""A ray this far inside a thing, in half heights, is wholly dark: so nobody sees that the lamp is a few points."""
FOOT_SHADE, FOOT_WIDTH = 0.5, 0.55
"""Which share of the sky a thing's foot takes from the plane beside it, and how far (in half heights) that reaches."""


def floor(scene: Scene, directions: Floats) -> Floats:
    """The plane's light (3, N) along rays from the camera."""
    start = scene.camera.position.astype(np.float32)
    # Rays that run level or upwards would meet the plane beyond all fading.
    reach = -start[2] / np.minimum(directions[2], -0.02)
    points = np.stack([start[0] + reach * directions[0], start[1] + reach * directions[1], np.zeros_like(reach)])
    return plane_at(points, reach, scene, _lamp_points(scene))


def plane_at(points: Floats, reach: Floats, scene: Scene, lamps: Sequence[Point]) -> Floats:
    """Light (3, N) that comes from points of the plane, seen from as far as `reach` (N,)."""
    fade = np.clip((reach - FADES[0]) / (FADES[1] - FADES[0]), 0, 1)
    fade = fade * (2 - fade)
    colour, far = (np.array(values, dtype=np.float32)[:, None] for values in (FLOOR, FAR))
    result: Floats = colour * (_falling(points, scene, lamps) * (1 - fade)) + far * fade
    return result


def lit(points: Floats, things: Sequence[Thing], lamps: Sequence[Point]) -> Floats:
    """Which share (N,) in [0, 1] of the lamp reaches each point past the things."""
    total = np.zeros(points.shape[1], dtype=np.float32)
    for lamp in lamps:
        towards = np.array(lamp, dtype=np.float32)[:, None] - points
        passed = np.ones(points.shape[1], dtype=np.float32)
        for thing in things:
            direction = turned(thing, towards)
            near, far = span(thing.look.shape, to_local(thing, points), direction)
            stretch = np.maximum(np.minimum(far, 1) - np.maximum(near, 0), 0) * np.sqrt(dot(direction, direction))
            passed *= 1 - np.minimum(stretch / PENUMBRA, 1)
        total += passed
    return total / len(lamps)


def to_lamp(points: Floats, scene: Scene) -> tuple[Floats, Floats]:
    """Unit vectors (3, N) to the lamp, and how bright (N,) it is there: 1 in the middle of the plane."""
    towards = np.array(scene.lamp, dtype=np.float32)[:, None] - points
    distance = np.sqrt(dot(towards, towards))
    return towards / distance, math.hypot(*scene.lamp) / distance


def before_lamp(scene: Scene, index: int) -> list[Thing]:
    """Things that may stand between a thing and the lamp."""
    thing, lamp = scene.things[index], np.array(scene.lamp)
    towards = (lamp - thing.centre) / np.linalg.norm(lamp - thing.centre)
    found = []
    for other in scene.things:
        offset = np.subtract(other.centre, thing.centre)
        ahead = float(offset @ towards)
        aside = float(np.linalg.norm(offset - ahead * towards))
        if ahead > 0 and aside < math.sqrt(3) * (thing.half + other.half):
            found.append(other)
    return found


def _falling(points: Floats, scene: Scene, lamps: Sequence[Point]) -> Floats:
    """How much light (N,) falls on points of the plane."""
    lamp, nearness = to_lamp(points, scene)
    direct = LAMP * nearness * lamp[2]
    sky = np.full(points.shape[1], SKY, dtype=np.float32)
    for thing in scene.things:
        stretch = 2 * thing.half / (scene.lamp[2] - 2 * thing.half)
        tip_x, tip_y = (thing.x - scene.lamp[0]) * stretch, (thing.y - scene.lamp[1]) * stretch
        margin = thing.reach * (1 + stretch) + LAMP_RADIUS * stretch
        x, y = points[0] - thing.x, points[1] - thing.y
        apart = x * x + y * y
        around = np.flatnonzero(apart < max(3 * thing.reach, math.hypot(tip_x, tip_y) + margin) ** 2)
        x, y = x[around], y[around]
        gap = np.maximum(np.sqrt(apart[around]) / thing.half - 0.75, 0)
        sky[around] *= 1 - FOOT_SHADE * np.exp(-gap / FOOT_WIDTH)
        # The shadow lies along the line from the thing's foot to where the lamp throws its top.
        share = np.clip((x * tip_x + y * tip_y) / (tip_x**2 + tip_y**2 or 1.0), 0, 1)
        aside = (x - share * tip_x) ** 2 + (y - share * tip_y) ** 2
        behind = around[aside < margin**2]
        direct[behind] *= lit(points[:, behind], [thing], lamps)
    result: Floats = direct + sky
    return result


def _lamp_points(scene: Scene) -> list[Point]:
    """Points of the lamp's rim, which lies level."""
    x, y, z = scene.lamp
    turns = [2 * math.pi * point / LAMP_POINTS for point in range(LAMP_POINTS)]
    return [(x + LAMP_RADIUS * math.cos(turn), y + LAMP_RADIUS * math.sin(turn), z) for turn in turns]
