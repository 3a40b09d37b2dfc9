"""Clips: a still camera, and things that move, hide each other, leave and come back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.sampling import FIELD, SEEN, clear_of, inside, sample_camera, sample_lamp, sample_looks
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import Trace, box_of_corners, trace
from referent.data.scenes.world import Camera, Look, Scene, Thing
from referent.errors import DataError

LENGTH = 24
"""Frames."""
FRAMES_GONE = 3
"""What leaves or has yet to enter is outside for at least as many frames."""
HIDDEN = 0.1
"""Of a hidden thing at most this share is seen."""
Way = Literal["still", "left", "right", "nearer", "away", "returns", "enters"]
"""How a thing moves: not, straight across or along, out of the picture and back, or into it."""
_STARTS, _TRIES = 100, 12
_LOOKING = 64
"""Shorter side, in pixels, of the small pictures that visibility is judged on."""

Track: TypeAlias = tuple[tuple[float, float], ...]
"""Where a thing stands in each frame: to the right of the camera's axis and away from it."""


@dataclass(frozen=True)
class Clip:
    """The same things in every frame, in the same order; some may be outside the picture.

    Attributes:
        scenes: one a frame.
        ways: how each thing moves.
    """

    scenes: tuple[Scene, ...]
    ways: tuple[Way, ...]

    @property
    def looks(self) -> list[Look]:
        """Of the things."""
        return [thing.look for thing in self.scenes[0].things]

    def frames(self, size: tuple[int, int]) -> Iterator[tuple[Trace, NDArray[np.uint8]]]:
        """What is seen, and the picture (H, W, 3), frame by frame; nothing is kept."""
        for scene in self.scenes:
            seen = trace(scene, size)
            yield seen, paint(seen)


def sample_clip(seed: int, index: int, size: tuple[int, int] = (256, 256)) -> Clip:
    """A clip for pictures of `size` (height, width), in which one thing hides another, and one leaves and comes back.

    `seed` and `index` decide it alone. In the first frame, every thing but those that enter later is well seen.

    Raises:
        DataError: a picture so wide that nothing gets out of it.
    """
    random = Random(f"clip {seed}/{index}")
    for _ in range(_STARTS):
        clip = _attempt(random, size)
        if clip is not None and _eventful(clip, size):
            return clip
    raise DataError(f"found no clip for pictures of {size[0]} x {size[1]} (height x width); ask for another shape")


def _attempt(random: Random, size: tuple[int, int]) -> Clip | None:
    """Things whose tracks never touch, or None."""
    # From as far up as usual, one would look over the hider.
    camera = replace(sample_camera(random), elevation=random.uniform(0.3, 0.38), aim=(0.0, 0.0, 0.6))
    lamp = sample_lamp(random)
    hider, hidden, visitor, *others = sample_looks(random, random.randint(4, 6))
    looks = [
        replace(hider, size="large", shape="cube" if hider.shape == "sphere" else hider.shape),
        replace(hidden, size="small"),
        visitor,
        *others,
    ]
    place = random.uniform(-1.0, 1.0), random.uniform(-1.6, 0.4)
    crossing: tuple[Way, ...] = ("left", "right")
    ways: list[Way] = ["still", random.choice(crossing), "returns"]
    ways += [random.choice((*crossing, "still", "nearer", "away", "enters")) for _ in others]
    placed: list[list[Thing]] = []
    for look, way in zip(looks, ways, strict=True):
        for _ in range(_TRIES):
            match len(placed):
                case 0:
                    track = (place,) * LENGTH
                case 1:
                    # Just behind the hider: further back it would be seen above it.
                    track = _across(random, way, place[1] + random.uniform(1.3, 1.6))
                case _:
                    track = _track(random, way)
            things = _standing(look, track, random.uniform(0, math.pi), camera)
            apart = all(clear_of(thing, others) for thing, *others in zip(things, *placed, strict=True))
            if apart and _goes(things, way, camera, size):
                placed.append(things)
                break
        else:
            return None
    scenes = tuple(Scene(things, camera, lamp) for things in zip(*placed, strict=True))
    return Clip(scenes, tuple(ways))


def _track(random: Random, way: Way) -> Track:
    x, y = random.uniform(-FIELD, FIELD), random.uniform(-FIELD, FIELD)
    match way:
        case "still":
            return ((x, y),) * LENGTH
        case "left" | "right":
            return _across(random, way, y)
        case "nearer" | "away":
            far = random.uniform(0.5, FIELD + 1)
            near = far - random.uniform(2.5, 4.5)
            return _line((x, far), (x, near)) if way == "nearer" else _line((x, near), (x, far))
        case _:
            outside = random.choice((-1, 1)) * random.uniform(5.0, 8.0)
            if way == "enters":
                return _line((outside, y), (x, y))
            turn = random.randint(LENGTH // 3, LENGTH // 2)
            back = random.uniform(-FIELD, FIELD)
            return _line((x, y), (outside, y), turn) + _line((outside, y), (back, y), LENGTH - turn)


def _across(random: Random, way: Way, away: float) -> Track:
    ends = random.uniform(-3.4, -1.8), random.uniform(1.8, 3.4)
    left, right = (ends[0], away), (ends[1], away)
    return _line(left, right) if way == "right" else _line(right, left)


def _line(start: tuple[float, float], end: tuple[float, float], length: int = LENGTH) -> Track:
    shares = [step / (length - 1) for step in range(length)]
    return tuple((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])) for share in shares)


def _standing(look: Look, track: Track, turn: float, camera: Camera) -> list[Thing]:
    return [Thing(look, *camera.on_plane(aside, away), turn) for aside, away in track]


def _goes(things: Sequence[Thing], way: Way, camera: Camera, size: tuple[int, int]) -> bool:
    """Whether the picture's edges make the track what it is to be: wholly inside, or out and in."""
    if not inside(things[-1], camera, size):
        return False
    if way not in ("returns", "enters"):
        # The track is straight and the picture convex: what is inside at both ends is inside between them.
        return inside(things[0], camera, size)
    starts_well = _outside(things[0], camera, size) if way == "enters" else inside(things[0], camera, size)
    return starts_well and sum(_outside(thing, camera, size) for thing in things) >= FRAMES_GONE


def _outside(thing: Thing, camera: Camera, size: tuple[int, int]) -> bool:
    """Whether nothing of the thing can be in the picture."""
    x0, _, x1, _ = box_of_corners(thing, camera, size)
    return x1 < 0 or x0 > size[1]


def _eventful(clip: Clip, size: tuple[int, int]) -> bool:
    """Whether the second thing is hidden once, and the rest is well seen where it should be."""
    scale = _LOOKING / min(size)
    small = round(size[0] * scale), round(size[1] * scale)

    def shares(frame: int) -> NDArray[np.float64]:
        return trace(clip.scenes[frame], small).visible()

    first, last = shares(0), shares(-1)
    entering = np.array([way == "enters" for way in clip.ways])
    if not ((first >= SEEN) | entering).all() or (last < SEEN).any():
        return False
    return any(shares(frame)[1] <= HIDDEN for frame in range(4, LENGTH - 4))
