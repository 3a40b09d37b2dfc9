from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from referent.evaluation.phrase_facts import groups, length, speaks_of, words


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("woman", "1 word"),
        ("man in blue", "2 or 3 words"),
        ("the man's left hand", "4 to 6 words"),
        ("the man in the blue shirt on the left", "7 or more words"),
        ("…", "1 word"),
    ],
)
def test_phrases_are_told_apart_by_their_number_of_words(phrase, name):
    assert length(phrase) == name


@pytest.mark.parametrize(
    "phrase",
    [
        "left sheep",
        "person on the far right side of the image",
        "second bottle from left",
        "the leftmost one",
        "left-most cup",
        "BOTTOM RIGHT corner",
        "pizza in front",
        "closest to us",
        "dining table at the very bottom",
        "the lowest truck",
        "middle row 2nd from right",
    ],
)
def test_a_place_in_the_picture_is_a_position_and_no_relation(phrase):
    assert speaks_of(phrase) == (False, True)


@pytest.mark.parametrize(
    "phrase",
    [
        "car behind bike",
        "chair in front of man",
        "the refrigerator to the right of the table",
        "cup closest to the cat",
        "man in the blue car",
        "woman holding an umbrella",
        "dog next to the sofa",
        "book on top of the table",
    ],
)
def test_something_beside_another_thing_is_a_relation_and_no_position(phrase):
    assert speaks_of(phrase) == (True, False)


@pytest.mark.parametrize(
    "phrase", ["woman", "man in blue", "person wearing red and white", "the tall brown horse", "…"]
)
def test_names_colours_and_sizes_are_neither(phrase):
    assert speaks_of(phrase) == (False, False)


def test_a_phrase_may_speak_of_both():
    assert speaks_of("the man with the hat on the left") == (True, True)
    assert speaks_of("left dog next to the sofa") == (True, True)
    assert speaks_of("person in red on left") == (False, True)


@given(st.text())
def test_any_text_has_facts(text):
    assert length(text)
    assert len(speaks_of(text)) == 2
    assert all(word == word.lower() for word in words(text))


def test_groups_cover_what_is_known_and_leave_out_what_tells_nothing_apart():
    phrases = ["left cat", "cat", "dog near the sofa", "cow"]
    tags = [
        {"kind": "position", "same_class": "2"},
        {"kind": "name", "same_class": "9"},
        {"kind": "name", "same_class": "?"},
        {},
    ]
    found = {(by, name): rows.tolist() for by, name, rows in groups(phrases, tags, np.array([True, True, True, False]))}
    assert found == {
        ("kind", "name"): [False, True, True, False],
        ("kind", "position"): [True, False, False, False],
        ("truth", "present"): [True, True, True, False],
        ("truth", "absent"): [False, False, False, True],
        ("length", "1 word"): [False, True, False, True],
        ("length", "2 or 3 words"): [True, False, False, False],
        ("length", "4 to 6 words"): [False, False, True, False],
        ("relation words", "with"): [False, False, True, False],
        ("relation words", "without"): [True, True, False, True],
        ("position words", "with"): [True, False, False, False],
        ("position words", "without"): [False, True, True, True],
        ("objects of its class", "2"): [True, False, False, False],
        ("objects of its class", "4 or more"): [False, True, False, False],
    }
    assert not list(groups(["cat", "dog"], [{"kind": "name"}] * 2, np.array([True, True])))
