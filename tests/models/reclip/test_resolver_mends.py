"""Fixed mode: every mend alone against compat, and all of them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from referent.errors import DataError
from referent.models.reclip.geometry import Layout, iou
from referent.models.reclip.resolver import Resolver, softmax
from referent.models.reclip.settings import MENDS, ResolverSettings
from referent.models.reclip.tree import Superlative, read_tree
from referent.parsing.types import Parse, Token

from .oracle import BOX_SETS, TREES, parse_of, resolve, resolver, scorer


def kinds(name: str, **settings: bool) -> tuple[list[str | None], list[str]]:
    """Kinds of the root's relations and superlatives."""
    chosen = ResolverSettings(**settings)  # type: ignore[arg-type]
    root = read_tree(parse_of(name), chosen.keywords, chosen.superlative_in_noun_phrase).root
    assert root is not None
    return [each.kind for each in root.relations], [each.kind for each in root.superlatives]


@pytest.mark.parametrize("mend", ["keep_distribution", "test_every_superlative"])
def test_top_left_between_two_things_has_an_answer(mend: str) -> None:
    assert np.isnan(resolve("e13", "B").probabilities).all()
    mended = resolve("e13", "B", **{mend: True})
    assert np.isfinite(mended.probabilities).all()
    assert mended.best == 1  # "top" comes first
    assert mended.steps[-1].skipped


def test_keep_distribution_alone_ignores_what_would_leave_nothing() -> None:
    steps = resolve("e13", "B", keep_distribution=True).steps
    assert [step.skipped for step in steps] == [None, None, None, "no proposal would be left"]
    np.testing.assert_array_equal(steps[-1].probabilities, steps[-2].probabilities)


def test_all_possessives_speak_for_their_entity() -> None:
    assert "a man holding a racket" in resolve("e48").queries
    assert "a man in a white shirt holding a racket" in resolve("e48", all_possessives=True).queries


def test_a_related_thing_is_looked_for_in_its_own_words() -> None:
    assert resolve("e30").queries[1] == "woman to right of man in blue"
    assert resolve("e30", expansion_stays_inside=True).queries[1] == "man in blue"


def test_no_text_is_scored_twice_or_for_nothing() -> None:
    compat, once = resolve("e48"), resolve("e48", ask_once=True)
    assert len(set(compat.queries)) < len(compat.queries)
    assert once.queries == (
        "a man in a white shirt holding a racket to the right of another man",
        "another man",
        "a man holding a racket",
    )
    np.testing.assert_array_equal(once.probabilities, compat.probabilities)


@pytest.mark.parametrize(("name", "found"), [("e88", "right"), ("e93", "left")])
def test_on_the_far_left_is_a_superlative(name: str, found: str) -> None:
    assert kinds(name)[1] == []
    assert kinds(name, superlative_in_noun_phrase=True)[1] == [found]


@pytest.mark.parametrize(("name", "found"), [("e57", "below"), ("e38", "bigger"), ("e64", "bigger")])
def test_closest_and_underneath_relate(name: str, found: str) -> None:
    assert found not in kinds(name)[0]
    assert found in kinds(name, more_relations=True)[0]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("e05", ([None], []), ([], ["bigger"])),
        ("e38", ([None], []), ([], ["bigger"])),
        ("e87", (["below"], []), ([], ["below"])),
    ],
)
def test_us_and_the_camera_are_no_things(name: str, before: tuple, after: tuple) -> None:
    assert kinds(name) == before
    assert kinds(name, more_null_words=True) == after


def test_a_proposal_without_area_is_inside_of_nothing() -> None:
    with pytest.raises(DataError, match="'inside' divides by it"):
        resolve("e52", "D")
    assert np.isfinite(resolve("e52", "D", empty_boxes=True).probabilities).all()
    inside = Layout(np.array(BOX_SETS["D"][0], dtype=np.float64), empty_boxes=True).relation("inside")
    np.testing.assert_array_equal(inside[2], [0, 0, 1, 0])


def test_all_mends_together_answer_every_parse_with_finite_probabilities() -> None:
    fixed = ResolverSettings.fixed()
    for name in TREES:
        for box_set, (boxes, _) in BOX_SETS.items():
            resolution = resolver(box_set, fixed).resolve(parse_of(name), scorer(boxes))
            assert np.isfinite(resolution.probabilities).all(), (name, box_set)
            assert resolution.probabilities.max() > 0
            assert len(set(resolution.queries)) == len(resolution.queries)


def test_every_result_says_which_resolver_made_it() -> None:
    assert resolve("e01").mode == ResolverSettings.compat().mode == "compat"
    assert ResolverSettings.fixed().mode == "fixed"
    assert resolve("e01", area_threshold=0.05, ask_once=True).mode == "compat, area_threshold=0.05, ask_once=True"
    assert replace(ResolverSettings.fixed(), gate=False).mode == "fixed, gate=False"
    assert all(hasattr(ResolverSettings, mend) for mend in MENDS)
    assert resolver("A", ResolverSettings()).score_alone("a dog", scorer(BOX_SETS["A"][0])).mode == "ips"


@pytest.mark.parametrize(
    ("field", "value"),
    [("area_threshold", -0.1), ("area_threshold", 1), ("temperature", 0.0), ("possessives", "guess")],
)
def test_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}: expected"):
        ResolverSettings(**{field: value})


def test_two_phrases_of_equal_words_are_two_things() -> None:
    parse = parse_of("e22")
    root = read_tree(parse, ResolverSettings().keywords).root
    assert root is not None
    assert root.relations[0].child.chunk is not root.chunk
    assert parse.chunk_text(root.relations[0].child.chunk) == parse.chunk_text(root.chunk) == "bus"


def test_of_several_keywords_in_a_path_the_first_kind_wins() -> None:
    assert ResolverSettings().keywords.superlative(["right", "top", "left"]) == "left"
    root = read_tree(parse_of("e44"), ResolverSettings().keywords).root
    assert root is not None
    assert root.superlatives == [Superlative("left", (1, 2, 3))]


def test_hundreds_of_words_nested_in_each_other_are_an_error_and_no_crash() -> None:
    words = ["dogs", *["left"] * 2999]
    tokens = tuple(
        Token(word, "ADV" if at else "NOUN", "advmod" if at else "ROOT", max(0, at - 1), 5 * at)
        for at, word in enumerate(words)
    )
    with pytest.raises(DataError, match="expression of 3000 words: nested too deeply"):
        Resolver(np.array(BOX_SETS["B"][0]), (480, 640), ResolverSettings()).resolve(
            Parse(" ".join(words), tokens), scorer(BOX_SETS["B"][0])
        )


def test_a_hundred_words_side_by_side_are_resolved() -> None:
    words = ["dog", *["left"] * 120]
    tokens = tuple(
        Token(word, "NOUN" if at == 0 else "ADV", "advmod" if at else "ROOT", 0, 5 * at)
        for at, word in enumerate(words)
    )
    boxes, size = BOX_SETS["B"]
    text = " ".join(word.ljust(4) for word in words)
    resolution = Resolver(np.array(boxes), size, ResolverSettings.fixed()).resolve(Parse(text, tokens), scorer(boxes))
    assert resolution.best == 0
    assert np.isfinite(resolution.probabilities).all()


def test_small_proposals_are_no_candidates_unless_all_are_small() -> None:
    boxes = np.array([[0, 0, 1, 1], [10, 10, 50, 50]], dtype=np.float64)
    settings = ResolverSettings(area_threshold=0.05)
    big, all_small = Resolver(boxes, (100, 100), settings), Resolver(boxes, (10_000, 10_000), settings)
    assert big.score_alone("a", lambda _: np.array([5.0, 0.0])).probabilities.tolist() == [0, 1]
    assert all_small.score_alone("a", lambda _: np.array([5.0, 0.0])).best == 0


def test_relations_between_boxes_are_strict_comparisons() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 0, 10, 10], [0, 20, 20, 20], [2, 2, 4, 4]], dtype=np.float64)
    layout = Layout(boxes)
    assert layout.relation("left")[0].tolist() == [0, 1, 1, 0]
    assert layout.relation("right").tolist() == layout.relation("left").T.tolist()
    assert layout.relation("above")[0].tolist() == [0, 0, 1, 0]
    assert layout.relation("below").tolist() == layout.relation("above").T.tolist()
    assert layout.relation("bigger")[2].tolist() == [1, 1, 0, 1]
    assert layout.relation("smaller").tolist() == layout.relation("bigger").T.tolist()
    assert layout.relation("inside")[3].tolist() == [1, 0, 0, 1]
    assert layout.relation("inside")[0].tolist() == [1, 0, 0, 0.16]


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [50, 50, 0, 0]], dtype=np.float64)
    np.testing.assert_allclose(iou(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]])


def test_the_softmax_is_over_candidates_only() -> None:
    assert softmax(np.array([1000.0, 1000.0, 0.0]), np.array([True, False, True])).tolist() == [1, 0, 0]


WORDS = ["dog", "man", "left", "top", "side", "closest", "of", "inside", "the", "us"]
DEPS = ["nsubj", "pobj", "prep", "amod", "det", "conj", "acl"]


@given(st.data())
def test_any_tree_of_words_has_an_answer(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 8))
    order = data.draw(st.permutations(range(count)))
    heads = {each: order[data.draw(st.integers(0, place - 1))] if place else each for place, each in enumerate(order)}
    words = [data.draw(st.sampled_from(WORDS)) for _ in range(count)]
    starts = [sum(len(word) + 1 for word in words[:at]) for at in range(count)]
    tokens = tuple(
        Token(
            word,
            data.draw(st.sampled_from(["NOUN", "ADJ", "ADP"])),
            "ROOT" if heads[at] == at else data.draw(st.sampled_from(DEPS)),
            heads[at],
            starts[at],
        )
        for at, word in enumerate(words)
    )
    parse = Parse(" ".join(words), tokens)
    boxes, size = BOX_SETS["A"]
    for settings in (ResolverSettings.compat(), ResolverSettings.fixed()):
        resolution = Resolver(np.array(boxes), size, settings).resolve(parse, scorer(boxes))
        assert 0 <= resolution.best < len(boxes)
        probabilities = resolution.probabilities
        assert np.isnan(probabilities).all() or ((probabilities >= 0) & (probabilities <= 1 + 1e-6)).all()
    assert np.isfinite(probabilities).all()
