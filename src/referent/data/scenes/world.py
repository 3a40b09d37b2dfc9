"""What a scene is: things on a plane, the camera, the lamp.

The world is measured in units of which a large sphere's radius is 0.7; x and y lie in the plane, z points up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shape = Literal["sphere", "cube", "cylinder"]
Size = Literal["large", "small"]
Material = Literal["rubber", "metal"]
Colour = Literal["grey", "red", "blue", "green", "brown", "purple", "cyan", "yellow"]

SHAPES: tuple[Shape, ...] = ("sphere", "cube", "cylinder")
SIZES: tuple[Size, ...] = ("large", "small")
MATERIALS: tuple[Material, ...] = ("rubber", "metal")
COLOURS: dict[Colour, tuple[int, int, int]] = {
    "grey": (105, 106, 110),
    "red": (196, 36, 38),
    "blue": (44, 82, 214),
    "green": (32, 132, 44),
    "brown": (136, 82, 36),
    "purple": (134, 48, 186),
    "cyan": (44, 196, 204),
    "yellow": (240, 206, 44),
}
"""The kinds of CLEVR (Johnson et al., CVPR 2017, section 3); sRGB of the surfaces in full light, ours."""

RADIUS: dict[Size, float] = {"large": 0.7, "small": 0.38}
CUBE = 0.8
"""Half a cube's side, as a share of a sphere's radius: so they look equally large."""


@dataclass(frozen=True)
class Look:
    """What a thing looks like."""

    shape: Shape
    colour: Colour
    size: Size = "large"
    material: Material = "rubber"


@dataclass(frozen=True)
class Thing:
    """A thing that stands on the plane at (x, y), turned by `turn` radians about the vertical."""

    look: Look
    x: float
    y: float
    turn: float = 0.0

    @cached_property
    def half(self) -> float:
        """Half its height; half its side or its radius too."""
        return RADIUS[self.look.size] * (CUBE if self.look.shape == "cube" else 1.0)

    @cached_property
    def reach(self) -> float:
        """Radius of the circle on the plane that it stays within."""
        return self.half * (math.sqrt(2) if self.look.shape == "cube" else 1.0)

    @property
    def centre(self) -> tuple[float, float, float]:
        """Its middle, in the world."""
        return self.x, self.y, self.half


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks at `aim` from `distance`.

    Attributes:
        azimuth: radians; at 0 it looks along y, and x runs to the right.
        elevation: radians above the plane.
        distance: from the camera to what it looks at.
        aim: the point in the middle of the picture.
        focal: focal length as a multiple of the picture's shorter side.
    """

    azimuth: float = 0.0
    elevation: float = 0.48
    distance: float = 11.0
    aim: tuple[float, float, float] = (0.0, 0.0, 0.35)
    focal: float = 1.5

    @property
    def ahead(self) -> tuple[float, float]:
        """The direction in the plane that leads away from the camera; a unit vector."""
        return math.sin(self.azimuth), math.cos(self.azimuth)

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """(3, 3): unit vectors to the right, up and forward, in the world."""
        x, y = self.ahead
        sine, cosine = math.sin(self.elevation), math.cos(self.elevation)
        return np.array([[y, -x, 0.0], [x * sine, y * sine, cosine], [x * cosine, y * cosine, -sine]])

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """(3,), in the world."""
        place: NDArray[np.float64] = np.array(self.aim) - self.distance * self.axes[2]
        return place

    def on_plane(self, aside: float, away: float) -> tuple[float, float]:
        """The place (x, y) so far to the right of the middle, and so far behind it, as the camera sees it."""
        x, y = self.ahead
        return aside * y + away * x, away * y - aside * x

    def project(self, points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
        """Points (N, 3) of the world in a picture of `size` (height, width): (N, 3) of x and y in pixels, and depth."""
        seen = (points - self.position) @ self.axes.T
        scale = self.focal * min(size) / seen[:, 2]
        return np.stack([size[1] / 2 + scale * seen[:, 0], size[0] / 2 - scale * seen[:, 1], seen[:, 2]], axis=1)


@dataclass(frozen=True)
class Scene:
    """Things, the camera that sees them, and where the lamp hangs (x, y, z)."""

    things: tuple[Thing, ...]
    camera: Camera = Camera()
    lamp: tuple[float, float, float] = (-4.5, -5.5, 8.5)

    def swapped(self, one: int, other: int) -> Scene:
        """The scene with two things in each other's place. Of unequal sizes, they may touch a third or the edge."""
        things = list(self.things)
        things[one] = replace(self.things[one], x=self.things[other].x, y=self.things[other].y)
        things[other] = replace(self.things[other], x=self.things[one].x, y=self.things[one].y)
        return replace(self, things=tuple(things))

    def mirrored(self) -> Scene:
        """The same scene with left and right exchanged, things, shapes and all; the lamp stays."""
        x, y = self.camera.ahead
        right = np.array([y, -x])
        away = math.atan2(y, x)

        def moved(thing: Thing) -> Thing:
            aside = float(np.dot((thing.x - self.camera.aim[0], thing.y - self.camera.aim[1]), right))
            return replace(
                thing,
                x=thing.x - 2 * aside * float(right[0]),
                y=thing.y - 2 * aside * float(right[1]),
                turn=2 * away - thing.turn,
            )

        return replace(self, things=tuple(moved(thing) for thing in self.things))
