"""Questions about made scenes: true of what they must be true of, and the same every time."""

from __future__ import annotations

import re

import numpy as np
import pytest

from referent.data.scenes.pairs import TASKS, TYPES, PairExample, pair_examples
from referent.data.scenes.world import Scene

SIZE = (80, 120)
WORDS = {"to the left of": "left", "to the right of": "right", "in front of": "front", "behind": "behind"}


def true_of(text: str, scene: Scene) -> bool:
    """By where things stand as the camera sees them, and by nothing of the code under test."""
    x, y = scene.camera.ahead
    aside = [thing.x * y - thing.y * x for thing in scene.things]
    away = [thing.x * x + thing.y * y for thing in scene.things]
    places = {f"a {thing.look.colour} {thing.look.shape}": index for index, thing in enumerate(scene.things)}
    if match := re.fullmatch(rf"(.+) ({'|'.join(WORDS)}) (.+)\.", text):
        one, other = places[match[1]], places[match[3]]
        return {
            "left": aside[one] < aside[other],
            "right": aside[one] > aside[other],
            "front": away[one] < away[other],
            "behind": away[one] > away[other],
        }[WORDS[match[2]]]
    return set(text.split(" and ")) == set(places)


@pytest.fixture(scope="module")
def examples() -> list[PairExample]:
    return list(pair_examples(12, 3, SIZE))


def test_of_every_two_combinations_the_right_one_is_true_and_the_wrong_one_false(examples):
    for example in examples:
        for question in example.questions:
            for fits, (picture, text) in ((True, question.right), (False, question.wrong)):
                assert true_of(text, example.scenes[picture]) is fits, (question, fits)


def test_a_question_is_about_one_picture_or_one_text(examples):
    for example in examples:
        assert tuple(question.task for question in example.questions) == TASKS
        for question in example.questions:
            same_picture = question.right[0] == question.wrong[0]
            same_text = question.right[1] == question.wrong[1]
            assert (same_picture, same_text) == ((True, False) if question.task.startswith("text") else (False, True))
            assert (question.relation is not None) == question.task.endswith(", spatial")


def test_every_type_of_two_unlike_things_is_asked_once():
    assert len(TYPES) == len(set(TYPES)) == 24 * 23 // 2
    first = list(pair_examples(3, 0, SIZE))
    named = {frozenset(example.questions[1].right[1].split(" and ")) for example in first}
    assert len(named) == 3


def test_the_same_seed_makes_the_same_examples_however_many_are_asked_for(examples):
    for again, example in zip(pair_examples(2, 3, SIZE), examples, strict=False):
        assert again.questions == example.questions
        assert all(map(np.array_equal, again.pictures, example.pictures))
    (other,) = pair_examples(1, 4, SIZE)
    assert other.questions != examples[0].questions
