"""The noun table hangs together, and forms are English."""

from __future__ import annotations

import pytest

from referent.data.describe.nouns import Vocabulary, may_be_confused, plain, plural_of, table
from referent.data.describe.truth import FALSE, TRUE, UNSURE


def word_truth(word: str, category: str, classes: tuple[str, ...]) -> int:
    vocabulary = Vocabulary(classes)
    return max(
        int(vocabulary.truth[row, classes.index(category)])
        for row, noun in enumerate(vocabulary.nouns)
        if noun.word == word
    )


@pytest.mark.parametrize(
    ("word", "plural"),
    [("cat", "cats"), ("bus", "buses"), ("berry", "berries"), ("toy", "toys"), ("bench", "benches"), ("box", "boxes")],
)
def test_regular_plurals(word: str, plural: str) -> None:
    assert plural_of(word) == plural


def test_irregular_plurals_come_from_the_table() -> None:
    plurals = {noun.word: noun.plural for noun in Vocabulary(("person", "knife", "sheep", "mouse", "jeans")).nouns}
    assert plurals["person"] == "people"
    assert plurals["knife"] == "knives"
    assert plurals["sheep"] == "sheep"
    assert plurals["mouse"] == "mice"
    assert plurals["jeans"] == "jeans"


def test_every_class_that_the_table_mentions_has_a_row() -> None:
    names = set(table().classes)
    mentioned = {name for group in table().confusable for name in group}
    mentioned |= {name for kind in table().kinds.values() for name in (*kind.members, *kind.perhaps)}
    mentioned |= {name for pairs in table().relations.values() for pair in pairs for name in (*pair.of, *pair.to)}
    assert mentioned <= names


def test_no_word_is_both_written_and_only_related() -> None:
    for name, entry in table().classes.items():
        assert not set(entry.words) & set(entry.related), name


def test_no_word_says_what_a_mask_does_not_show() -> None:
    written = {word for entry in table().classes.values() for word in entry.words}
    assert not written & {"man", "woman", "boy", "girl", "kid", "child", "kitten", "puppy", "calf", "taxi"}


def test_a_word_of_two_classes_is_doubtful_for_the_other() -> None:
    classes = ("bicycle", "motorcycle", "cat")
    assert word_truth("bike", "bicycle", classes) == TRUE
    assert word_truth("bike", "motorcycle", classes) == UNSURE
    assert word_truth("bike", "cat", classes) == FALSE


def test_a_class_that_the_table_lacks_is_called_by_its_own_name() -> None:
    (noun,) = Vocabulary(("Traffic_cone",)).nouns
    assert (noun.word, noun.plural) == ("traffic cone", "traffic cones")


def test_a_class_is_not_confused_with_itself() -> None:
    assert not may_be_confused("car", "car")
    assert may_be_confused("car", "truck")
    assert plain("Cell_Phone ") == "cell phone"
