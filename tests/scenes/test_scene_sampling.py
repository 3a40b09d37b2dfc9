"""Scenes stand as ordered, apart, inside the picture; twins differ in nothing but what they should."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from referent.data.scenes.relations import OPPOSITE, RELATIONS, Relation, relations
from referent.data.scenes.sampling import SEEN, arrange, sample_looks, sample_scene
from referent.data.scenes.tracing import trace
from referent.data.scenes.world import Look, Scene
from referent.errors import DataError

RED_CUBE, BLUE_SPHERE = Look("cube", "red"), Look("sphere", "blue", material="metal")
SIZE = (128, 128)


def standing(scene: Scene, one: int, other: int) -> set[Relation]:
    return {name for name in RELATIONS if relations(scene)[name][one, other]}


@pytest.mark.parametrize("size", [(128, 128), (128, 192), (192, 128)])
def test_things_are_inside_the_picture_and_well_seen(size: tuple[int, int]) -> None:
    for seed in range(8):
        scene = sample_scene(Random(seed), size)
        seen = trace(scene, size)
        assert (seen.visible() > SEEN - 0.05).all()
        for full in seen.full:
            assert full.sum() > 0.001 * full.size
            assert not full[[0, -1]].any()
            assert not full[:, [0, -1]].any()


def test_of_every_two_things_one_is_left_and_one_in_front() -> None:
    for seed in range(20):
        scene = sample_scene(Random(seed))
        held = relations(scene)
        different = ~np.eye(len(scene.things), dtype=bool)
        for name in RELATIONS:
            assert ((held[name] ^ held[OPPOSITE[name]]) == different).all()
            assert (held[name] == held[OPPOSITE[name]].T).all()


def test_left_is_left_in_the_picture_and_front_is_lower_in_it() -> None:
    for seed in range(10):
        scene = sample_scene(Random(seed))
        held = relations(scene)
        feet = scene.camera.project(np.array([(thing.x, thing.y, 0.0) for thing in scene.things]), SIZE)
        middles = scene.camera.project(np.array([thing.centre for thing in scene.things]), SIZE)
        for one, other in np.argwhere(held["left"]):
            assert middles[one, 0] < middles[other, 0]
        for one, other in np.argwhere(held["front"]):
            assert feet[one, 1] > feet[other, 1]


@pytest.mark.parametrize("name", RELATIONS)
def test_a_scene_is_made_to_order(name: Relation) -> None:
    for seed in range(5):
        scene = arrange([RED_CUBE, BLUE_SPHERE], Random(seed), SIZE, [(0, name, 1)])
        assert [thing.look for thing in scene.things] == [RED_CUBE, BLUE_SPHERE]
        assert name in standing(scene, 0, 1)


def test_several_relations_hold_at_once() -> None:
    looks = [RED_CUBE, BLUE_SPHERE, Look("cylinder", "green", "small")]
    scene = arrange(looks, Random(0), SIZE, [(0, "left", 1), (0, "behind", 2), (2, "right", 1)])
    assert "left" in standing(scene, 0, 1)
    assert "behind" in standing(scene, 0, 2)
    assert "right" in standing(scene, 2, 1)


def test_orders_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(DataError, match="no place for 2 things with 2 relations"):
        arrange([RED_CUBE, BLUE_SPHERE], Random(0), SIZE, [(0, "left", 1), (0, "right", 1)])


def test_more_things_than_fit_are_refused() -> None:
    with pytest.raises(DataError, match="no place for 60 things"):
        arrange([RED_CUBE] * 60, Random(0), SIZE)


def test_the_swapped_twin_has_the_opposite_relations() -> None:
    scene = arrange([RED_CUBE, BLUE_SPHERE], Random(1), SIZE, [(0, "left", 1)])
    twin = scene.swapped(0, 1)
    assert standing(twin, 0, 1) == {OPPOSITE[name] for name in standing(scene, 0, 1)}
    assert [thing.look for thing in twin.things] == [thing.look for thing in scene.things]
    assert twin.camera == scene.camera


def test_the_mirrored_twin_shows_the_mirrored_masks() -> None:
    for seed in range(3):
        scene = sample_scene(Random(seed), SIZE)
        one, other = trace(scene, SIZE), trace(scene.mirrored(), SIZE)
        for mask, mirrored in zip(one.masks, other.masks, strict=True):
            assert (mask[:, ::-1] != mirrored).sum() <= 2
        held, mirrored_held = relations(scene), relations(scene.mirrored())
        assert (held["left"] == mirrored_held["right"]).all()
        assert (held["front"] == mirrored_held["front"]).all()


def test_looks_repeat_so_that_words_are_needed_to_tell_them_apart() -> None:
    shared = [len({look.colour for look in sample_looks(Random(seed), 6)}) < 6 for seed in range(20)]
    assert sum(shared) > 10
