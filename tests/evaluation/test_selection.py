from __future__ import annotations

from dataclasses import replace

import pytest
from evaluation_stub import columns, sample

from referent.errors import DataError
from referent.evaluation.selection import VOC, parse, select
from referent.rle import encode

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


def test_phrases_about_one_thing_are_chosen_by_the_number_of_their_targets():
    both = replace(
        sample("5", "b.png", "both cats", columns(0), name="cat"), targets=[encode(columns(0)), encode(columns(1))]
    )
    nothing = sample("6", "b.png", "the dog", None, kind="none")
    among = [*SAMPLES, both, nothing]
    assert [kept.id for kept in select(among, {"targets": ["1"]})] == ["1", "2", "3", "4"]
    assert [kept.id for kept in select(among, {"targets": ["0", "2"]})] == ["5", "6"]


def test_targets_that_are_too_small_together_are_left_out_and_so_is_what_is_true_of_nothing():
    small = sample("1", "a.png", "the left cat", columns(0))
    nothing = sample("2", "a.png", "the dog", None)
    two = replace(sample("3", "a.png", "both cats", columns(0)), targets=[encode(columns(0)), encode(columns(1))])
    one = columns(0).mean()
    among = [small, nothing, two]
    assert [kept.id for kept in select(among, {}, one)] == ["1", "3"]
    assert [kept.id for kept in select(among, {}, 1.5 * one)] == ["3"]
    assert select(among, {}) == among
    with pytest.raises(DataError, match="the targets of no sample cover 90 % of their picture"):
        select(among, {}, 0.9)
    with pytest.raises(DataError, match="from 0 to 1, found 2"):
        select(among, {}, 2)


def test_conditions_are_read_from_the_command_line():
    assert parse(["name=cat, dog", "kind=name", "kind=colour"]) == {"name": ["cat", "dog"], "kind": ["name", "colour"]}


@pytest.mark.parametrize("text", ["name", "=cat", "name=", "name=,"])
def test_a_condition_without_tag_or_value_is_an_error(text):
    with pytest.raises(DataError, match="expected TAG=VALUE"):
        parse([text])
