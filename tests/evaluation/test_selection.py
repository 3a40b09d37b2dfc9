from __future__ import annotations

import pytest
from evaluation_stub import columns, sample

from referent.errors import DataError
from referent.evaluation.selection import VOC, parse, select

SAMPLES = [
    sample("1", "a.png", "cat", columns(0), kind="name", name="cat"),
    sample("2", "a.png", "the left cat", columns(0), kind="position", name="cat"),
    sample("3", "a.png", "tennis racket", columns(0), kind="name", name="tennis racket"),
    sample("4", "a.png", "something", columns(0)),
]


def ids(where) -> list[str]:
    return [kept.id for kept in select(SAMPLES, where)]


def test_no_condition_keeps_everything():
    assert ids({}) == ["1", "2", "3", "4"]


def test_values_of_one_tag_are_alternatives_and_tags_must_all_hold():
    assert ids({"kind": ["name", "position"]}) == ["1", "2", "3"]
    assert ids({"kind": ["name"], "name": ["cat"]}) == ["1"]


def test_voc_stands_for_its_twenty_classes():
    assert len(VOC) == 20
    assert ids({"name": ["@voc"]}) == ["1", "2"]


def test_a_value_that_no_sample_has_is_an_error_that_names_those_that_occur():
    with pytest.raises(DataError, match="kind=colour: no such sample; kind has: name, position"):
        ids({"kind": ["name", "colour"]})


def test_conditions_that_nothing_meets_together_are_an_error():
    with pytest.raises(DataError, match="no sample meets kind=position and name=tennis racket together"):
        ids({"kind": ["position"], "name": ["tennis racket"]})


def test_conditions_are_read_from_the_command_line():
    assert parse(["name=cat, dog", "kind=name", "kind=colour"]) == {"name": ["cat", "dog"], "kind": ["name", "colour"]}


@pytest.mark.parametrize("text", ["name", "=cat", "name=", "name=,"])
def test_a_condition_without_tag_or_value_is_an_error(text):
    with pytest.raises(DataError, match="expected TAG=VALUE"):
        parse([text])
