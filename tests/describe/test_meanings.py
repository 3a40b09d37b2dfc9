"""Constructed cases: two objects that would both fit, ties, thin margins, overlaps, crowds, doubtful names."""

from __future__ import annotations

import numpy as np
import pytest
from painted import Thing, meanings_of, phrases_of

from referent.data.describe.facts import measure
from referent.data.describe.meanings import Meanings
from referent.data.describe.nouns import Vocabulary

LEFT = Thing("cat", 20, 100, 80, 160)
RIGHT = Thing("cat", 230, 100, 290, 160)
MIDDLE = Thing("cat", 130, 100, 190, 160)


def single(phrases: dict[str, tuple[int, ...]], *kinds_of_words: str) -> set[str]:
    """Phrases of one target with any of these words."""
    return {text for text, targets in phrases.items() if len(targets) == 1 and any(w in text for w in kinds_of_words)}


def test_of_two_the_left_one_is_the_left_one() -> None:
    phrases = phrases_of(LEFT, RIGHT)
    assert phrases["left cat"] == (0,)
    assert phrases["the cat on the left"] == (0,)
    assert phrases["the right cat"] == (1,)
    assert phrases["both cats"] == (0, 1)
    assert phrases["cat"] == (0, 1)


def test_equal_size_is_no_size() -> None:
    assert not single(phrases_of(LEFT, RIGHT), "big", "small", "larg", "little")


def test_a_thin_size_margin_is_no_size() -> None:
    slightly = Thing("cat", 230, 100, 297, 167)
    assert not single(phrases_of(LEFT, slightly), "big", "small", "larg", "little")


def test_a_clear_size_margin_is_one() -> None:
    huge = Thing("cat", 180, 40, 300, 200)
    phrases = phrases_of(LEFT, huge)
    assert phrases["the bigger cat"] == (1,)
    assert phrases["small cat"] == (0,)


def test_a_thin_horizontal_margin_is_no_side() -> None:
    below = Thing("cat", 26, 170, 86, 230)
    phrases = phrases_of(LEFT, below)
    assert not single(phrases, "left", "right")
    assert single(phrases, "bottom")


def test_one_box_around_another_has_no_side() -> None:
    inner, outer = Thing("cat", 60, 60, 100, 100), Thing("cat", 40, 40, 240, 200)
    assert not single(phrases_of(inner, outer), "left", "right", "first", "1st", "second", "2nd")


def test_two_on_the_left_share_the_left() -> None:
    other = Thing("cat", 20, 20, 80, 80)
    phrases = phrases_of(LEFT, other, RIGHT)
    assert "the cat on the left" not in phrases
    assert "left cat" not in phrases
    assert phrases["cats on the left"] == (0, 1)


def test_a_row_is_counted_from_both_ends() -> None:
    phrases = phrases_of(LEFT, MIDDLE, RIGHT)
    assert phrases["second cat from the left"] == (1,)
    assert phrases["the middle cat"] == (1,)
    assert phrases["second cat from the right"] == (1,)


def test_a_cloud_is_not_counted() -> None:
    phrases = phrases_of(LEFT, Thing("cat", 100, 10, 160, 70), Thing("cat", 110, 170, 170, 230), RIGHT)
    assert not single(phrases, "second", "2nd", "third", "3rd")


def test_what_may_be_overlooked_stops_counting() -> None:
    speck = Thing("cat", 100, 30, 106, 36)
    phrases = phrases_of(LEFT, MIDDLE, RIGHT, speck)
    assert not any(word in text for text in phrases for word in ("second", "2nd", "three", "four"))
    assert all(3 not in targets or len(targets) == 4 for targets in phrases.values())


def test_a_crowd_makes_its_class_unsafe() -> None:
    phrases = phrases_of(
        Thing("person", 20, 100, 60, 200),
        Thing("person", 200, 20, 320, 80, crowd=True),
        Thing("dog", 140, 150, 190, 200),
    )
    assert not any(word in text for text in phrases for word in ("person", "people", "human", "figure", "individual"))
    assert phrases["the dog"] == (2,)


def test_two_of_one_colour_are_not_told_apart_by_it() -> None:
    red, other = Thing("car", 20, 100, 100, 150, "red"), Thing("car", 200, 100, 280, 150, "red")
    phrases = phrases_of(red, other)
    assert "red car" not in phrases
    assert phrases["red cars"] == (0, 1)


def test_a_colour_that_the_other_may_have_too_is_not_said() -> None:
    orange_red = "orange"
    for paint in ("red", "brown"):
        phrases = phrases_of(
            Thing("car", 20, 100, 100, 150, paint), Thing("car", 200, 100, 280, 150, orange_red), none_share=0.0
        )
        assert f"{paint} car" not in phrases or phrases[f"{paint} car"] == (0,)
    phrases = phrases_of(Thing("car", 20, 100, 100, 150, "red"), Thing("car", 200, 100, 280, 150, "white"))
    assert phrases["red car"] == (0,)
    assert phrases["the white car"] == (1,)


def test_a_colour_is_not_said_beside_one_of_unsure_colour() -> None:
    phrases = phrases_of(Thing("cat", 20, 100, 100, 150, "grey"), Thing("cat", 200, 100, 280, 150, "white"))
    assert phrases.get("white cat", (1,)) == (1,)
    tiny = Thing("cat", 200, 100, 207, 107, "black")  # too few pixels to judge
    assert "grey cat" not in phrases_of(Thing("cat", 20, 100, 100, 150, "grey"), tiny)


def test_a_class_taken_for_another_makes_the_phrase_doubtful() -> None:
    car, truck = Thing("car", 20, 100, 100, 150), Thing("truck", 200, 100, 280, 150)
    phrases = phrases_of(car, truck, none_share=0.0)
    assert phrases["car"] == (0,)  # the label decides for its own bare name
    assert "the car" not in phrases
    assert phrases["car on the left"] == (0,)
    assert "the bigger car" not in phrases
    assert "the car" in phrases_of(car)


def test_a_kind_needs_all_its_classes_in_the_file() -> None:
    nouns = {noun.word for meaning in meanings_of(LEFT)[0] for noun in meaning.nouns}
    assert "animal" not in nouns
    animals = ("bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
    nouns = {noun.word for meaning in meanings_of(LEFT, classes=animals)[0] for noun in meaning.nouns}
    assert "animal" in nouns


def test_relations_name_a_landmark_that_stands_alone() -> None:
    dog = Thing("dog", 140, 100, 190, 160)
    phrases = phrases_of(LEFT, dog, RIGHT)
    assert phrases["cat left of the dog"] == (0,)
    assert phrases["cat right of the dog"] == (2,)
    two_dogs = phrases_of(LEFT, dog, Thing("dog", 140, 10, 190, 60), RIGHT)
    assert not single(two_dogs, "of the dog")


def test_on_needs_the_thing_under_it() -> None:
    table = Thing("dining table", 20, 120, 300, 230)
    resting, hanging = Thing("cup", 60, 100, 90, 150), Thing("cup", 200, 20, 230, 60)
    phrases = phrases_of(table, resting, hanging)
    assert phrases["cup on the table"] == (1,)


def test_names_with_a_position_inside_get_no_other() -> None:
    phrases = phrases_of(
        Thing("front left door", 20, 100, 100, 200, "red"),
        Thing("back left door", 110, 100, 190, 200, "red"),
        Thing("wheel", 40, 190, 90, 235),
        Thing("wheel", 200, 190, 250, 235),
    )
    assert phrases["front left door"] == (0,)
    assert phrases["red front left door"] == (0,)
    doors = [text for text in phrases if "door" in text]
    assert not any("on the" in text or "left front left" in text or "most" in text for text in doors)
    # The car's left, or the picture's?
    assert not any("wheel" in text and ("left" in text or "right" in text) for text in phrases)
    assert phrases["all the wheels"] == (2, 3)


def test_a_mask_in_two_parts_may_be_two_things() -> None:
    masks = [np.zeros((240, 320), dtype=bool) for _ in range(2)]
    masks[0][100:160, 20:80] = masks[0][100:160, 120:180] = masks[1][100:160, 230:290] = True
    scene = measure(masks, ["cat", "cat"], [1, 2], [False, False], None)
    present = list(Meanings(scene, Vocabulary(("cat",))).present())
    assert all(meaning.targets != (0,) for meaning in present)
    assert not any(meaning.form in ("both", "rank") for meaning in present)
    assert any(meaning.form == "all" and meaning.targets == (0, 1) for meaning in present)
    assert any(meaning.form == "most" and meaning.targets == (1,) for meaning in present)


def test_regions_are_named_and_nothing_more() -> None:
    phrases = phrases_of(Thing("person", 20, 20, 150, 230), regions=True)
    assert phrases["people"] == (0,)
    assert "the person" not in phrases
    assert not any(word in text for text in phrases for word in ("left", "middle", "two", "second"))


def test_plural_only_names_have_no_singular() -> None:
    phrases = phrases_of(Thing("jeans", 20, 20, 100, 200, "blue"), regions=True, none_share=0.0)
    assert phrases["blue jeans"] == (0,)
    assert not any(text.startswith(("a ", "an ", "every ", "each ")) or "jeanses" in text for text in phrases)


@pytest.mark.parametrize("word", ["the cat", "kitty", "black feline"])
def test_what_is_there_is_not_denied(word: str) -> None:
    phrases = phrases_of(Thing("cat", 20, 100, 80, 160, "black"))
    assert phrases.get(word, (0,)) == (0,)


def test_absence_needs_a_class_of_the_file() -> None:
    _, absent = meanings_of(LEFT, classes=("cat", "bus"))
    denied = {meaning.nouns[0].name for meaning in absent if meaning.why == "class"}
    assert denied == {"bus"}


def test_absence_heeds_what_is_taken_for_another() -> None:
    _, absent = meanings_of(Thing("car", 20, 100, 100, 150), classes=("truck", "zebra"))
    denied = {meaning.nouns[0].name for meaning in absent if meaning.why == "class"}
    assert denied == {"zebra"}


def test_absence_heeds_a_crowd() -> None:
    _, absent = meanings_of(Thing("person", 200, 20, 320, 80, crowd=True), LEFT, classes=("zebra",))
    assert not any(noun.name == "person" for meaning in absent for noun in meaning.nouns)


def test_a_picture_without_annotations_denies_nothing() -> None:
    assert meanings_of() == ([], [])


def test_impossible_orders_and_places_are_false() -> None:
    phrases = phrases_of(LEFT, Thing("cat", 20, 170, 80, 230))
    assert phrases["third cat from the left"] == ()
    assert phrases["cat on the right"] == ()
    assert "second cat from the left" not in phrases


def test_a_relation_that_does_not_hold_is_false() -> None:
    phrases = phrases_of(LEFT, Thing("dog", 130, 100, 190, 160))
    assert phrases["cat right of the dog"] == ()
    assert phrases["cat left of the dog"] == (0,)
