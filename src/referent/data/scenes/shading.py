"""From what is seen where to a picture: rubber scatters the light, metal mirrors plane, things and sky.

A picture's values are the square roots of linear light, close to what screens expect. Sizes: N samples, points (3, N)
float32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.light import FAR, LAMP, SKY, before_lamp, floor, lit, plane_at, to_lamp
from referent.data.scenes.solids import Floats, dot, normal, span, to_local, turned, turned_back
from referent.data.scenes.tracing import SAMPLES, Trace, rays
from referent.data.scenes.world import COLOURS, Scene, Thing

# By eye. Shine: strength and exponent of the lamp's reflection. Wrap: how far light creeps around rubber.
RUBBER_SHINE, RUBBER_WRAP = (0.16, 18), 0.12
METAL_SHINE, METAL_SCATTER, METAL_MIRROR, METAL_RIM = (1.3, 140), 0.35, 1.05, 0.6
# A wide window beside the lamp, as studios have: metal without anything bright to mirror looks grey.
WINDOW, WINDOW_FROM, WINDOW_EDGE, WINDOW_LIGHT = (-0.55, -0.35, 0.76), 0.72, 6.0, 0.9


def paint(seen: Trace) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of what is seen."""
    height, width = seen.size
    count = height * width
    covered = np.flatnonzero(seen.owner >= 0)
    rows, columns = np.divmod(covered, width * SAMPLES)
    light = _things(
        seen, covered, rays(seen.scene.camera, seen.size, _middle(columns, SAMPLES), _middle(rows, SAMPLES))
    )
    pixels = rows // SAMPLES * width + columns // SAMPLES
    picture = np.stack([np.bincount(pixels, channel, minlength=count) for channel in light]).astype(np.float32)
    bare = (SAMPLES * SAMPLES - np.bincount(pixels, minlength=count)).astype(np.float32)
    # The plane is smooth, but for shadows that are soft: one sample a pixel does.
    pixels = np.flatnonzero(bare)
    rows, columns = np.divmod(pixels, width)
    plane = floor(seen.scene, rays(seen.scene.camera, seen.size, _middle(columns, 1), _middle(rows, 1)))
    picture[:, pixels] += bare[pixels] * plane
    values = (255 * np.sqrt(np.clip(picture / SAMPLES**2, 0, 1)) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(values.T.reshape(height, width, 3))


def _middle(numbers: NDArray[np.intp], samples: int) -> Floats:
    """Where the samples of these numbers lie, in pixels."""
    return (numbers.astype(np.float32) + 0.5) / samples


def _things(seen: Trace, covered: NDArray[np.intp], directions: Floats) -> Floats:
    """Light (3, N) of the samples, by number, that hit something along these directions (3, N)."""
    owner, distance = seen.owner.ravel()[covered], seen.distance.ravel()[covered]
    light = np.empty((3, len(covered)), dtype=np.float32)
    for index in range(len(seen.scene.things)):
        own = np.flatnonzero(owner == index)
        if len(own):
            light[:, own] = _surface(seen.scene, index, distance[own], directions[:, own])
    return light


def _surface(scene: Scene, index: int, distance: Floats, directions: Floats) -> Floats:
    """Light (3, N) where rays (3, N) from the camera hit one thing, at that distance (N,) along each."""
    thing = scene.things[index]
    points = scene.camera.position.astype(np.float32)[:, None] + distance * directions
    facing = turned_back(thing, normal(thing.look.shape, to_local(thing, points)))
    towards = _unit(-directions)
    lamp, nearness = to_lamp(points, scene)
    cosine = dot(facing, lamp)
    direct = LAMP * nearness * lit(points, before_lamp(scene, index), [scene.lamp])
    shine = np.maximum(dot(facing, _unit(lamp + towards)), 0)
    low = np.clip(points[2] / (0.8 * thing.half), 0, 1)
    sky = _sky(facing) * (0.45 + 0.55 * low)
    albedo = _albedo(thing)
    if thing.look.material == "rubber":
        scattered = np.maximum((cosine + RUBBER_WRAP) / (1 + RUBBER_WRAP), 0)
        strength, exponent = RUBBER_SHINE
        rubber: Floats = albedo * (direct * scattered + sky) + strength * direct * shine**exponent
        return rubber
    slant = 1 - np.clip(dot(facing, towards), 0, 1)
    tint = albedo + (1 - albedo) * METAL_RIM * slant**4
    mirrored = _mirrored(points, 2 * dot(facing, towards) * facing - towards, scene, index)
    scattered = METAL_SCATTER * (direct * np.maximum(cosine, 0) + sky)
    strength, exponent = METAL_SHINE
    metal: Floats = albedo * scattered + METAL_MIRROR * tint * mirrored + strength * direct * shine**exponent
    return metal


def _mirrored(points: Floats, directions: Floats, scene: Scene, index: int) -> Floats:
    """Light (3, N) that reaches points of a thing from these directions: of the sky, the plane or another thing."""
    rise = directions[2]
    window = np.clip((dot(np.array(WINDOW, dtype=np.float32), directions) - WINDOW_FROM) * WINDOW_EDGE, 0, 1)
    far = np.array(FAR, dtype=np.float32)[:, None]
    light: Floats = far * (0.75 + 0.35 * np.maximum(rise, 0)) + WINDOW_LIGHT * window
    down = np.flatnonzero(rise < -0.02)
    if len(down):
        reach = -points[2, down] / rise[down]
        feet = points[:, down] + reach * directions[:, down]
        feet[2] = 0
        light[:, down] = plane_at(feet, reach, scene, [scene.lamp])
    nearest = np.full(points.shape[1], np.inf, dtype=np.float32)
    for other, thing in enumerate(scene.things):
        if other == index:
            continue
        near, leaves = span(thing.look.shape, to_local(thing, points), turned(thing, directions))
        hit = np.flatnonzero((near < leaves) & (near > 0) & (near < nearest))
        if len(hit):
            nearest[hit] = near[hit]
            light[:, hit] = _plain(thing, points[:, hit] + near[hit] * directions[:, hit], scene)
    return light


def _plain(thing: Thing, points: Floats, scene: Scene) -> Floats:
    """Light (3, N) of a thing in a mirror: without shadows or mirrors of its own."""
    facing = turned_back(thing, normal(thing.look.shape, to_local(thing, points)))
    lamp, nearness = to_lamp(points, scene)
    light: Floats = _albedo(thing) * (LAMP * nearness * np.maximum(dot(facing, lamp), 0) + _sky(facing))
    return light


def _sky(facing: Floats) -> Floats:
    """How much light (N,) of the sky falls on what faces that way."""
    light: Floats = SKY * (0.62 + 0.38 * facing[2])
    return light


def _albedo(thing: Thing) -> Floats:
    return (np.array(COLOURS[thing.look.colour], dtype=np.float32)[:, None] / 255) ** 2


def _unit(vectors: Floats) -> Floats:
    result: Floats = vectors / np.sqrt(dot(vectors, vectors))
    return result
