"""On random scenes, no phrase is true of a second object, and none that should be false is true."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_reader import holds_somewhere, wrong
from painted import PAINTS, Thing, said_of


@st.composite
def things(draw: st.DrawFn) -> Thing:
    width, height = draw(st.integers(6, 150)), draw(st.integers(6, 150))
    x0, y0 = draw(st.integers(0, 320 - width)), draw(st.integers(0, 240 - height))
    name = draw(st.sampled_from(["cat", "cat", "dog", "person", "car", "truck", "umbrella", "dining table", "cup"]))
    return Thing(name, x0, y0, x0 + width, y0 + height, draw(st.sampled_from(["", *PAINTS])))


def visible(scene: list[Thing]) -> list[Thing]:
    """Things that no other covers, so that what was painted is what is seen."""
    kept: list[Thing] = []
    for thing in scene:
        if all(
            thing.x0 >= other.x1 or other.x0 >= thing.x1 or thing.y0 >= other.y1 or other.y0 >= thing.y1
            for other in kept
        ):
            kept.append(thing)
    return kept


scenes = st.lists(things(), min_size=1, max_size=9, unique=True).map(visible)
rows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(20, 40), st.sampled_from(["", *PAINTS])), min_size=2, max_size=6
).map(
    lambda cells: [
        Thing("cat", 50 * i + 4, 90 + dy, 50 * i + 4 + side, 90 + dy + side, paint)
        for i, (dy, side, paint) in enumerate(cells)
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scene=st.one_of(scenes, rows), seed=st.integers(0, 1000))
def test_a_phrase_is_true_of_its_targets_alone(scene: list[Thing], seed: int) -> None:
    for said in said_of(*scene, seed=seed):
        if said.tags["kind"] == "none":
            assert said.targets == ()
            assert not holds_somewhere(said.phrase, scene), f"{said} holds in {scene}"
        else:
            assert said.targets
            assert not wrong(said.phrase, said.targets, scene), f"{wrong(said.phrase, said.targets, scene)}: {scene}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scene=scenes, seed=st.integers(0, 1000))
def test_no_two_phrases_of_a_picture_are_the_same_words(scene: list[Thing], seed: int) -> None:
    phrases = [said.phrase for said in said_of(*scene, seed=seed)]
    assert len(phrases) == len(set(phrases))


def test_the_naive_reader_catches_a_phrase_that_fits_two() -> None:
    cats = [Thing("cat", 10, 100, 50, 140, "black"), Thing("cat", 10, 180, 50, 220, "black")]
    assert wrong("the left cat", (0,), cats)
    assert wrong("the black cat", (0,), cats)
    assert wrong("both cats", (0,), cats)
    assert wrong("the white cat", (0,), cats)
    assert wrong("second cat from the left", (0,), [*cats, Thing("cat", 100, 100, 140, 140)])
    assert not wrong("the top cat", (0,), cats)
    assert holds_somewhere("the cat on the left", cats)
    assert holds_somewhere("black kitty", cats)
    assert not holds_somewhere("the third cat from the left", cats)
