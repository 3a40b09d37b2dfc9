"""What things may be called: the noun table, and of which classes each noun is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from referent.data.describe.truth import FALSE, TRUE, UNSURE, Truth

Number = Literal["count", "plural", "mass"]
ColourUse = Literal["any", "fur", "worn", "none"]


class Entry(BaseModel):
    """One row of `nouns.yaml`; the fields are explained at the head of that file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: Mapping[str, float]
    plurals: Mapping[str, str] = {}
    number: Number = "count"
    related: tuple[str, ...] = ()
    colour: ColourUse = "any"
    ground: bool = False
    upright: bool = False
    part: bool = False


class Kind(Entry):
    """A word for several classes at once ("animal")."""

    members: tuple[str, ...]
    perhaps: tuple[str, ...] = ()


class Pairing(BaseModel):
    """Classes of which a relation can be said, and the classes to which."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: tuple[str, ...]
    to: tuple[str, ...]


class Table(BaseModel):
    """The whole of `nouns.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: Mapping[str, Entry]
    kinds: Mapping[str, Kind]
    confusable: tuple[tuple[str, ...], ...]
    relations: Mapping[str, tuple[Pairing, ...]]


@cache
def table() -> Table:
    """The noun table shipped with the package."""
    text = resources.files(__package__).joinpath("nouns.yaml").read_text(encoding="utf-8")
    return Table.model_validate(yaml.safe_load(text))


@dataclass(frozen=True)
class Noun:
    """One word for one class or kind.

    Attributes:
        name: the class, as its file names it, or the kind.
        word: the singular (or only) form.
        plural: the plural form; equal to `word` for plural-only and mass nouns.
        weight: how often to draw it among the words of its class.
        own: the word is the class's own name in the file.
        kind: `name` is a kind ("animal"), not a class.
        entry: what else the table says.
    """

    name: str
    word: str
    plural: str
    weight: float
    own: bool
    kind: bool
    entry: Entry


class Vocabulary:
    """The nouns that can be said of a file with the given class names.

    Kinds are there only when the file has all their members: of classes that it does not have, a file says nothing.

    Attributes:
        categories: the file's class names.
        nouns: all nouns.
        truth: (len(nouns), len(categories)) int8: of which classes each noun is TRUE, UNSURE, FALSE.
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.categories = tuple(categories)
        self._entries = {name: _entry(name) for name in self.categories}
        self.nouns = tuple(
            noun for name, entry in self._entries.items() for noun in _nouns(name, entry, kind=False)
        ) + tuple(
            noun
            for name, kind in table().kinds.items()
            if set(kind.members) <= {plain(category) for category in self.categories}
            for noun in _nouns(name, kind, kind=True)
        )
        self.truth: Truth = np.array(
            [[self._true_of(noun, category) for category in self.categories] for noun in self.nouns], dtype=np.int8
        ).reshape(len(self.nouns), len(self.categories))

    def entry(self, category: str) -> Entry:
        """What the table says of a class of the file (a plain row where it says nothing)."""
        return self._entries[category]

    def _true_of(self, noun: Noun, category: str) -> np.int8:
        if noun.own:
            # The label decides for its own word; who confuses classes is heard only where synonyms are chosen.
            if noun.name == category:
                return TRUE
        elif noun.word in self._entries[category].words:
            return TRUE
        members: tuple[str, ...] = (plain(noun.name),)
        if isinstance(noun.entry, Kind):
            if plain(category) in noun.entry.members:
                return TRUE
            if plain(category) in noun.entry.perhaps:
                return UNSURE
            members = noun.entry.members
        if noun.word in self._entries[category].words or noun.word in self._entries[category].related:
            return UNSURE
        return UNSURE if any(may_be_confused(member, plain(category)) for member in members) else FALSE


def plain(name: str) -> str:
    """A class name as people would write it: lower case, spaces for underscores."""
    return " ".join(name.replace("_", " ").lower().split())


@cache
def may_be_confused(first: str, second: str) -> bool:
    """Whether the table puts two different classes into one group of things taken for each other."""
    return first != second and any(first in group and second in group for group in table().confusable)


@cache
def _entry(name: str) -> Entry:
    """The table's row, completed with the class's own name as a word."""
    word = plain(name)
    row = table().classes.get(word)
    if row is None:
        looks_plural = word.endswith("s") and not word.endswith(("ss", "us", "is"))
        return Entry(words={word: 1.0}, number="plural" if looks_plural else "count")
    return row if word in row.words else row.model_copy(update={"words": {**row.words, word: 0.2}})


def _nouns(name: str, entry: Entry, *, kind: bool) -> list[Noun]:
    return [
        Noun(
            name=name,
            word=word,
            plural=entry.plurals.get(word) or (plural_of(word) if entry.number == "count" else word),
            weight=weight,
            own=not kind and word == plain(name),
            kind=kind,
            entry=entry,
        )
        for word, weight in entry.words.items()
    ]


_SIBILANTS = ("s", "x", "z", "ch", "sh")


def plural_of(word: str) -> str:
    """The regular English plural of the last word: "bus" -> "buses", "berry" -> "berries"."""
    if word.endswith("person"):
        return word.removesuffix("person") + "people"
    if word.endswith(_SIBILANTS):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"
