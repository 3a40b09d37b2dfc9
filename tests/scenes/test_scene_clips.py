"""Clips: what moves, hides, leaves and returns is seen to do so in the masks."""

from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest

from referent.data.scenes.clips import HIDDEN, LENGTH, Clip, sample_clip
from referent.data.scenes.motions import say_of_clip
from referent.data.scenes.tracing import Trace, trace
from referent.errors import DataError

SIZE = (96, 96)


@pytest.fixture(scope="module", params=range(6))
def filmed(request: pytest.FixtureRequest) -> tuple[Clip, list[Trace]]:
    clip = sample_clip(0, request.param, SIZE)
    return clip, [trace(scene, SIZE) for scene in clip.scenes]


def test_the_first_frame_shows_every_thing_but_those_that_enter(filmed: tuple[Clip, list[Trace]]) -> None:
    clip, frames = filmed
    for way, mask in zip(clip.ways, frames[0].masks, strict=True):
        assert mask.any() == (way != "enters")
    assert all(mask.any() for mask in frames[-1].masks)


def test_one_thing_is_hidden_while_it_is_in_the_picture(filmed: tuple[Clip, list[Trace]]) -> None:
    _, frames = filmed
    shares = [seen.visible()[1] for seen in frames]
    assert min(shares) <= HIDDEN + 0.1
    assert all(seen.full[1].any() for seen in frames)


def test_things_never_touch(filmed: tuple[Clip, list[Trace]]) -> None:
    clip, _ = filmed
    for scene in clip.scenes:
        for index, thing in enumerate(scene.things):
            for other in scene.things[:index]:
                assert np.hypot(thing.x - other.x, thing.y - other.y) > thing.reach + other.reach


def moves(index: int, frames: list[Trace]) -> set[str]:
    """What a thing is seen to do, from where its full mask is in each frame."""
    masks = [seen.full[index] for seen in frames]
    there = [bool(mask.any()) for mask in masks]
    steady = all((mask == masks[0]).all() for mask in masks)
    found = {"still" if steady else "moving"}
    if there[0] and not all(there):
        found.add("returns")
    if not there[0]:
        found.add("enters")
    if all(there) and not steady:
        columns = np.array([np.nonzero(mask)[1].mean() for mask in masks])
        areas = np.array([mask.sum() for mask in masks])
        if abs(columns[-1] - columns[0]) > 0.2 * SIZE[1]:
            found.add("left" if columns[-1] < columns[0] else "right")
        elif areas[-1] > 1.15 * areas[0] or areas[0] > 1.15 * areas[-1]:
            found.add("nearer" if areas[-1] > areas[0] else "away")
    return found


MEANT = {
    "that does not move|that stays where it is": "still",
    "that moves|that is moving": "moving",
    "that moves to the left|moving left|that goes from right to left": "left",
    "that moves to the right|moving right|that goes from left to right": "right",
    "that comes closer|that moves to the front": "nearer",
    "that moves away|that moves to the back": "away",
    "that leaves the picture and comes back|that leaves and returns": "returns",
    "that comes into the picture|that enters": "enters",
}


def test_a_phrase_of_motion_is_seen_to_be_true_of_its_target_alone(filmed: tuple[Clip, list[Trace]]) -> None:
    clip, frames = filmed
    said = say_of_clip(clip, Random(0))
    assert said
    for one in said:
        (target,) = one.targets
        subject, wanted = one.phrase, ""
        for pattern, motion in MEANT.items():
            if match := re.fullmatch(f"(.+) (?:{pattern})", one.phrase):
                subject, wanted = match[1], motion
        assert (one.kind == "motion") == bool(wanted), one
        fitting = [index for index, look in enumerate(clip.looks) if fits(subject, look)]
        true = [index for index in fitting if not wanted or wanted in moves(index, frames)]
        assert true == [target], one


def fits(subject: str, look: object) -> bool:
    """Whether words like "the tiny metal ball" fit a look."""
    same = {"big": "large", "little": "small", "tiny": "small", "shiny": "metal", "matte": "rubber"}
    same |= {"ball": "sphere", "block": "cube"}
    words = [same.get(word, word) for word in subject.removeprefix("the ").split()]
    own = {*vars(look).values(), "thing", "object"}
    return all(word in own for word in words)


def test_motion_is_spoken_of_often() -> None:
    kinds = [one.kind for index in range(6) for one in say_of_clip(sample_clip(1, index, SIZE), Random(index))]
    assert kinds.count("motion") > len(kinds) / 10
    assert set(kinds) == {"motion", "attribute"}


def test_frames_come_one_by_one_with_their_masks() -> None:
    clip = sample_clip(0, 0, (64, 64))
    frames = clip.frames((64, 64))
    seen, picture = next(frames)
    assert picture.shape == (64, 64, 3)
    assert len(seen.masks) == len(clip.looks)
    assert sum(1 for _ in frames) == LENGTH - 1


def test_the_same_seed_and_index_make_the_same_clip() -> None:
    assert sample_clip(3, 4, SIZE) == sample_clip(3, 4, SIZE)
    assert sample_clip(3, 4, SIZE) != sample_clip(3, 5, SIZE)


def test_a_picture_that_nothing_gets_out_of_is_refused() -> None:
    with pytest.raises(DataError, match="no clip for pictures of 32 x 640"):
        sample_clip(0, 0, (32, 640))
