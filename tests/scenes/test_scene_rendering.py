"""Made pictures: masks that are exact, things that hide each other, and the same bytes every time."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from referent.data.scenes.examples import example
from referent.data.scenes.sampling import sample_scene
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import SAMPLES, places, rays, trace
from referent.data.scenes.world import COLOURS, MATERIALS, SHAPES, SIZES, Camera, Look, Scene, Thing

SIZE = (96, 96)


def matte(scene: Scene) -> Scene:
    """The same without mirrors, in which the colour of one thing would show on another."""
    things = tuple(replace(thing, look=replace(thing.look, material="rubber")) for thing in scene.things)
    return replace(scene, things=things)


def coloured(scene: Scene, index: int, colour: str) -> Scene:
    things = list(scene.things)
    things[index] = replace(things[index], look=replace(things[index].look, colour=colour))
    return replace(scene, things=tuple(things))


def within(thing: Thing, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points (N, 3) are inside a thing, by school geometry."""
    offset = points - thing.centre
    if thing.look.shape == "sphere":
        return np.linalg.norm(offset, axis=1) < thing.half
    if thing.look.shape == "cylinder":
        return (np.linalg.norm(offset[:, :2], axis=1) < thing.half) & (np.abs(offset[:, 2]) < thing.half)
    angle = np.arctan2(offset[:, 1], offset[:, 0]) - thing.turn
    radius = np.linalg.norm(offset[:, :2], axis=1)
    flat = np.stack([radius * np.cos(angle), radius * np.sin(angle), offset[:, 2]], axis=1)
    return (np.abs(flat) < thing.half).all(1)


@pytest.mark.parametrize("seed", range(4))
def test_the_pixels_that_show_a_thing_are_those_that_change_with_its_colour(seed: int) -> None:
    scene = matte(sample_scene(Random(seed)))
    seen = trace(scene, SIZE)
    for index, mask in enumerate(seen.masks):
        one = paint(trace(coloured(scene, index, "yellow"), SIZE))
        other = paint(trace(coloured(scene, index, "blue"), SIZE))
        changed = (one != other).any(2)
        touched = (seen.owner == index).reshape(SIZE[0], SAMPLES, SIZE[1], SAMPLES).sum((1, 3))
        assert (changed == (touched > 0)).all()
        assert (touched[mask] >= 2).all()
        assert not mask[touched < 2].any()


@pytest.mark.parametrize("seed", range(2))
def test_a_ray_hits_what_a_walk_along_it_meets_first(seed: int) -> None:
    scene, size = sample_scene(Random(seed)), (20, 20)
    seen = trace(scene, size)
    side = places(slice(0, size[0]), SAMPLES)
    directions = rays(scene.camera, size, side, side[:, None]).reshape(3, -1).T.astype(np.float64)
    met = np.full(len(directions), -1)
    for distance in np.arange(6.0, 18.0, 0.02):
        points = scene.camera.position + distance * directions
        for index, thing in enumerate(scene.things):
            met[(met < 0) & within(thing, points)] = index
    assert (met == seen.owner.ravel()).mean() > 0.98


def test_masks_do_not_overlap_and_lie_inside_what_would_be_seen_alone() -> None:
    for index in range(5):
        seen = example(0, index, SIZE).seen
        assert sum(mask.astype(int) for mask in seen.masks).max() == 1
        for mask, full in zip(seen.masks, seen.full, strict=True):
            assert not (mask & ~full).any()


def test_the_full_mask_is_the_mask_of_the_thing_alone() -> None:
    seen = example(0, 3, SIZE).seen
    for thing, full in zip(seen.scene.things, seen.full, strict=True):
        alone = trace(replace(seen.scene, things=(thing,)), SIZE)
        assert (alone.masks[0] == full).all()


def test_the_nearer_of_two_things_hides_the_other() -> None:
    look = Look("sphere", "red")
    seen = trace(Scene((Thing(look, 0.7, 2.0), Thing(look, 0.0, 0.0)), Camera(elevation=0.1)), SIZE)
    assert seen.visible()[1] == 1
    assert 0 < seen.visible()[0] < 0.7


def test_a_thing_beside_the_picture_has_an_empty_mask() -> None:
    seen = trace(Scene((Thing(Look("cube", "red"), 20.0, 0.0),)), SIZE)
    assert not seen.masks[0].any()
    assert seen.visible()[0] == 0


def test_a_picture_of_nothing_is_the_bare_plane() -> None:
    picture = paint(trace(Scene(()), SIZE))
    assert picture.shape == (*SIZE, 3)
    assert picture.std() < 25


def test_a_thing_throws_a_shadow() -> None:
    scene = Scene((Thing(Look("cylinder", "red"), 0.0, 0.0),))
    with_thing, without = paint(trace(scene, SIZE)), paint(trace(Scene(()), SIZE))
    around = ~trace(scene, SIZE).full[0]
    assert (without.astype(int) - with_thing)[around].max() > 60


@pytest.mark.parametrize("shape", SHAPES)
def test_colour_size_and_material_change_the_picture(shape: str) -> None:
    def picture(look: Look) -> NDArray[np.uint8]:
        return paint(trace(Scene((Thing(look, 0.0, 0.0, 0.3),)), SIZE))

    looks = [Look(shape, colour, size, material) for colour in COLOURS for size in SIZES for material in MATERIALS]
    assert len({picture(look).tobytes() for look in looks}) == len(looks)


def test_pictures_of_any_shape_show_the_middle() -> None:
    scene = Scene((Thing(Look("sphere", "red"), 0.0, 0.0),))
    for size in ((64, 128), (128, 64), (50, 50)):
        seen = trace(scene, size)
        assert paint(seen).shape == (*size, 3)
        rows, columns = np.nonzero(seen.masks[0])
        assert abs(columns.mean() + 0.5 - size[1] / 2) < 1
        assert abs(rows.mean() + 0.5 - size[0] / 2) < 0.1 * min(size)


def test_the_same_seed_and_index_make_the_same_picture_masks_and_phrases() -> None:
    one, again, other = example(7, 5, SIZE), example(7, 5, SIZE), example(8, 5, SIZE)
    assert one.picture.tobytes() == again.picture.tobytes()
    assert [mask.tobytes() for mask in one.seen.masks] == [mask.tobytes() for mask in again.seen.masks]
    assert one.said == again.said
    assert one.picture.tobytes() != other.picture.tobytes()
