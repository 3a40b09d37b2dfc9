"""Left, right, front, behind: where things stand, as the camera sees it.

Left and right compare where middles fall in the picture, front and behind how far along the plane things stand from the
camera, as CLEVR's front and behind do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.world import Scene

Relation = Literal["left", "right", "front", "behind"]
RELATIONS: tuple[Relation, ...] = ("left", "right", "front", "behind")
OPPOSITE: dict[Relation, Relation] = {"left": "right", "right": "left", "front": "behind", "behind": "front"}

APART_ACROSS = 0.04
"""Nobody should doubt which of two is further left: their middles are this share of the shorter side apart."""
APART_ALONG = 0.35
"""Likewise in depth, in units of the world."""


def across(scene: Scene) -> NDArray[np.float64]:
    """(N,): how far right each thing's middle falls, in shorter sides of the picture."""
    return scene.camera.project(np.array([thing.centre for thing in scene.things]).reshape(-1, 3), (1, 1))[:, 0]


def along(scene: Scene) -> NDArray[np.float64]:
    """(N,): how far from the camera each thing stands, along the plane, in units of the world."""
    x, y = scene.camera.ahead
    return np.array([thing.x * x + thing.y * y for thing in scene.things])


def relations(scene: Scene) -> dict[Relation, NDArray[np.bool_]]:
    """For each relation (N, N): whether the first thing clearly stands so, seen from the second.

    Of two things that are not clearly apart, neither is left of the other.
    """
    right, away = across(scene), along(scene)
    left = right[None] - right[:, None] >= APART_ACROSS
    front = away[None] - away[:, None] >= APART_ALONG
    return {"left": left, "right": left.T, "front": front, "behind": front.T}
