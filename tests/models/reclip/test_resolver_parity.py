"""Compat mode against the official code: all trees and all runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from referent.errors import DataError
from referent.models.reclip.resolver import Resolution
from referent.models.reclip.settings import ResolverSettings
from referent.models.reclip.tree import Entity, read_tree
from referent.parsing.types import Chunk, Parse

from .oracle import BOX_SETS, RUNS, TREES, parse_of, resolve, resolver, scorer

# What an official option is called here, and how its value translates.
OPTIONS: dict[str, Any] = {
    "box_area_threshold": lambda value: {"area_threshold": value},
    "no_possessive": lambda _: {"possessives": "skip"},
    "possessive_no_expand": lambda _: {"possessives": "append"},
    "no_rel": lambda _: {"relations": False},
    "no_sup": lambda _: {"superlatives": False},
    "no_null": lambda _: {"null_words": False},
    "parse_no_branch": lambda _: {"gate": False},
    "baseline_threshold": lambda value: {"superlative_threshold": value},
    "sigmoid": lambda _: {"temperature": 1.0},
    "temperature": lambda value: {"temperature": value},
}
# Not offered: they raise, except with exactly two proposals, where they change no probability.
BROKEN = {"ternary", "superlative_head_only"}


def as_official(parse: Parse, entity: Entity) -> dict[str, Any]:
    return {
        "chunk": parse.chunk_text(entity.chunk),
        "span": [entity.chunk.start, entity.chunk.end],
        "relations": [
            {
                "kind": relation.kind or "possessive",
                "token_indices": list(relation.tokens),
                "child": as_official(parse, relation.child),
            }
            for relation in entity.relations
        ],
        "superlatives": [{"kind": each.kind, "token_indices": list(each.tokens)} for each in entity.superlatives],
    }


def without_extras(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        "chunk": tree["chunk"],
        "span": tree["span"],
        "relations": [
            {key: each[key] for key in ("kind", "token_indices")} | {"child": without_extras(each["child"])}
            for each in tree["relations"]
        ],
        "superlatives": [{key: each[key] for key in ("kind", "token_indices")} for each in tree["superlatives"]],
    }


@pytest.mark.parametrize("name", TREES)
def test_the_tree_is_the_official_one(name: str) -> None:
    record, parse = TREES[name], parse_of(name)
    tree = read_tree(parse, ResolverSettings.compat().keywords)
    official = record["official_tree"]
    assert (tree.root and as_official(parse, tree.root)) == (official and without_extras(official))
    assert (tree.by_fallback, tree.open) == (record["fallback_tried"], record["gate"])


@pytest.mark.parametrize("name", TREES)
def test_the_queries_of_two_or_more_proposals_are_the_official_ones(name: str) -> None:
    resolution = resolve(name, "B")
    assert list(resolution.queries) == TREES[name]["queries"]
    assert resolution.used == TREES[name]["uses_tree"]


def run_of(record: dict[str, Any]) -> Resolution:
    options = {key: value for key, value in record["options"].items() if key not in BROKEN}
    parse, boxes = parse_of(record["id"]), BOX_SETS[record["box_set"]][0]
    if options.pop("expand_chunks", False):  # not offered: every token gets a chunk object of its own
        parse.__dict__["chunk_of"] = tuple(chunk and Chunk(chunk.start, chunk.end) for chunk in parse.chunk_of)
    method, head = options.pop("method", "parse"), options.pop("baseline_head", False)
    settings: dict[str, Any] = {}
    for key, value in options.items():
        settings |= OPTIONS[key](value)
    about = resolver(record["box_set"], ResolverSettings(**settings))
    if method == "baseline":
        return about.score_with_head(parse, scorer(boxes)) if head else about.score_alone(parse.text, scorer(boxes))
    return about.resolve(parse, scorer(boxes))


def test_there_are_as_many_trees_and_runs_as_were_recorded() -> None:
    assert (len(TREES), len(RUNS)) == (115, 293)


@pytest.mark.parametrize(
    "record", [run for run in RUNS if "error" not in run], ids=lambda run: f"{run['id']}-{run['box_set']}"
)
def test_a_run_has_the_official_probabilities_prediction_and_queries(record: dict[str, Any]) -> None:
    resolution = run_of(record)
    expected = np.array([np.nan if value is None else value for value in record["probs"]])
    if record["box_set"] == "C":
        # The official code multiplies by (1, 1) and so reports the one proposal twice.
        expected = expected[:1]
    np.testing.assert_allclose(resolution.probabilities, expected, rtol=2e-5, atol=1e-9)
    assert resolution.best == record["pred"]
    if not set(record["options"]) & BROKEN:
        assert list(resolution.queries) == record["queries"]


def test_what_raises_in_the_official_code_has_a_known_outcome_here() -> None:
    failed = {(run["id"], run["box_set"], *run["options"]): run for run in RUNS if "error" in run}
    assert failed.keys() == {
        ("e52", "D"),
        ("e33", "A", "ternary"),
        ("e01", "A", "baseline_threshold"),
        ("e01", "A", "superlative_head_only"),
    }
    with pytest.raises(DataError, match="proposal 2: has no area"):
        run_of(failed["e52", "D"])
    with pytest.raises(ValueError, match=r"superlative_threshold: expected above 1, found 0\.5"):
        run_of(failed["e01", "A", "baseline_threshold"])
    for option in BROKEN:
        assert not hasattr(ResolverSettings.compat(), option)


def test_the_worked_example_of_two_animals() -> None:
    resolution = resolve("e25")
    assert resolution.queries == ("a cat to the left of a dog", "a dog", "a cat")
    np.testing.assert_allclose(
        resolution.probabilities, [0.0160585, 0.1224715, 0.0000924, 0, 0.0836804], rtol=1e-3, atol=1e-7
    )
    assert resolution.best == 1
    assert [(step.depth, step.what, step.text) for step in resolution.steps] == [
        (0, "expression", "a cat to the left of a dog"),
        (1, "entity", "a dog"),
        (0, "entity", "a cat"),
        (0, "relation", "to left of"),
    ]
