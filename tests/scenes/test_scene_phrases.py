"""What is said of a made picture is true of exactly the things that it is said to be true of."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reader import true_of

from referent.data.scenes.examples import example
from referent.data.scenes.meanings import Meanings
from referent.data.scenes.records import scene_record

SMALL = (64, 64)
KINDS = {"attribute", "relation", "superlative", "ordinal", "plural", "none"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_a_phrase_is_true_of_its_targets_and_of_nothing_else(index: int) -> None:
    made = example(1, index, SMALL)
    record = scene_record(made)
    assert made.said
    for said in made.said:
        assert true_of(said.phrase, record) == set(said.targets), said


def test_each_kind_has_the_number_of_targets_that_it_promises() -> None:
    counts: Counter[str] = Counter()
    for index in range(20):
        for said in example(2, index, SMALL).said:
            counts[said.kind] += 1
            assert {"plural": len(said.targets) > 1, "none": not said.targets}.get(said.kind, len(said.targets) == 1)
            assert bool(said.why) == (said.kind == "none")
    assert set(counts) == KINDS


def test_every_thing_is_spoken_of_alone() -> None:
    for index in range(10):
        made = example(3, index, SMALL)
        alone = {said.targets[0] for said in made.said if len(said.targets) == 1}
        assert alone == set(range(len(made.seen.scene.things)))


def test_no_words_are_said_twice_of_a_scene() -> None:
    for index in range(10):
        phrases = [said.phrase for said in example(4, index, SMALL).said]
        assert len(phrases) == len(set(phrases))


def test_a_relation_needs_its_landmark_to_tell_its_target_apart() -> None:
    for index in range(10):
        meanings = Meanings(example(5, index, SMALL).seen.scene)
        for meaning in meanings.present():
            if meaning.kind == "relation":
                assert meaning.landmark is not None
                assert len(meanings.described[meaning.subject]) > 1
                assert len(meanings.described[meaning.landmark]) == 1


def test_what_is_absent_is_near_what_is_there() -> None:
    for index in range(10):
        made = example(6, index, SMALL)
        shapes = {thing.look.shape for thing in made.seen.scene.things}
        for meaning in Meanings(made.seen.scene).absent():
            assert not meaning.subject.shape or meaning.subject.shape in shapes
