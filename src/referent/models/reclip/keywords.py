"""The words that the resolver listens to (Appendix C.2 of the paper).

A word matches as it stands, lower-cased: no lemma, no part of a word. Where a path holds words of several kinds, the
kind that stands first here wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

RELATIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "left": frozenset({"left", "west"}),
        "right": frozenset({"right", "east"}),
        "above": frozenset({"above", "north", "top", "back", "behind"}),
        "below": frozenset({"below", "south", "under", "front"}),
        "bigger": frozenset({"bigger", "larger", "closer"}),
        "smaller": frozenset({"smaller", "tinier", "further"}),
        "inside": frozenset({"inside", "within", "contained"}),
    }
)
SUPERLATIVES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "left": frozenset({"left", "west", "leftmost", "western"}),
        "right": frozenset({"right", "rightmost", "east", "eastern"}),
        "above": frozenset({"above", "north", "top"}),
        "below": frozenset({"below", "south", "underneath", "front"}),
        "bigger": frozenset({"bigger", "biggest", "larger", "largest", "closer", "closest"}),
        "smaller": frozenset({"smaller", "smallest", "tinier", "tiniest", "further", "furthest"}),
    }
)
NULL_WORDS = frozenset({"part", "image", "side", "picture", "half", "region", "section"})

# What the mends `more_relations` and `more_null_words` add.
MORE_RELATIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {"below": frozenset({"underneath"}), "bigger": frozenset({"closest"}), "smaller": frozenset({"furthest"})}
)
MORE_NULL_WORDS = frozenset({"pic", "photo", "photograph", "frame", "camera", "screen", "us", "me"})


@dataclass(frozen=True)
class Keywords:
    """Lists of words by kind, the kinds in order of precedence.

    Attributes:
        relations: kinds of relation between two things.
        superlatives: kinds of superlative among all things.
        null: nouns that are no things but places in the picture.
    """

    relations: Mapping[str, frozenset[str]]
    superlatives: Mapping[str, frozenset[str]]
    null: frozenset[str]

    def relation(self, words: Iterable[str]) -> str | None:
        """The kind of relation that a path of words expresses, or None."""
        return _first(self.relations, words)

    def superlative(self, words: Iterable[str]) -> str | None:
        """The kind of superlative that a path of words expresses, or None."""
        return _first(self.superlatives, words)

    def is_place(self, word: str) -> bool:
        """Whether a noun is no thing: a keyword of relation, or a null word."""
        return word in self.null or self.relation([word]) is not None

    def opens(self, words: Iterable[str]) -> bool:
        """Whether a text has any keyword of relation or superlative."""
        return any(self.relation([word]) or self.superlative([word]) for word in words)


def keywords(relations: bool, superlatives: bool, null: bool, more_relations: bool, more_null_words: bool) -> Keywords:
    """The lists that are listened to, with or without our additions."""
    chosen = {kind: words for kind, words in RELATIONS.items() if relations}
    if more_relations:
        chosen = {kind: words | MORE_RELATIONS.get(kind, frozenset()) for kind, words in chosen.items()}
    places = (NULL_WORDS if null else frozenset()) | (MORE_NULL_WORDS if null and more_null_words else frozenset())
    return Keywords(chosen, SUPERLATIVES if superlatives else {}, places)


def _first(lists: Mapping[str, frozenset[str]], words: Iterable[str]) -> str | None:
    given = set(words)
    return next((kind for kind, listed in lists.items() if listed & given), None)
