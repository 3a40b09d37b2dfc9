"""How the relation resolver reads an expression: as the official code does, or with its defects mended."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal, get_args

from referent.models.reclip.keywords import Keywords, keywords

Possessives = Literal["expand", "append", "skip"]
MENDS = (
    "keep_distribution",
    "test_every_superlative",
    "all_possessives",
    "expansion_stays_inside",
    "ask_once",
    "superlative_in_noun_phrase",
    "more_relations",
    "more_null_words",
    "empty_boxes",
)


@dataclass(frozen=True)
class ResolverSettings:
    """Every choice of the resolver. The defaults are the official code's, defects included (`compat`).

    Options of the official code, under its defaults:

    Attributes:
        area_threshold: only proposals whose share of the picture is greater can be the answer; 0.05 is the paper's
            "object size prior".
        relations, superlatives, null_words: False empties that list of keywords (the paper's ablations). Without
            relations keyword nouns become things of their own, as in the official code.
        gate: the resolver is used only for texts with a relation or superlative keyword.
        possessives: what a relation without a keyword does to the text of its entity: "expand" it by the words of the
            sentence between the two, "append" the relation's words, or "skip" it.
        superlative_threshold: superlatives are applied only while the best proposal is less than so many times as
            probable as the second; above 1.
        temperature: entities' distributions are sigmoids of standardised scores times this, instead of a softmax.
            None: softmax.

    Mends, each of one thing that the official code does and the paper does not say:

    Attributes:
        keep_distribution: an update that would leave no probability at all is left out. Official: everything
            becomes NaN, and the first proposal the answer ("top left" between two things).
        test_every_superlative: whether one proposal is left is asked before every superlative. Official: before the
            first only.
        all_possessives: the entity's text is expanded by all its possessive relations. Official: by the last one only.
        expansion_stays_inside: the expansion stops at the entity. Official: it goes on to the head of the sentence,
            so that in "woman to right of man in blue" the man is looked for as the whole expression.
        ask_once: a text is scored once an expression, and never for nothing. Same probabilities.
        superlative_in_noun_phrase: "on the far left" is a superlative as "on the left" is. Official: not where the
            keyword noun has two words of its noun phrase under it.
        more_relations: closest, furthest and underneath relate two things. Official: superlatives only, lost before a
            complement.
        more_null_words: pic, photo, photograph, frame, camera, screen, us and me are no things, as picture and
            image are none in the official list.
        empty_boxes: a proposal without area is inside of nothing. Official: a division by zero.
    """

    area_threshold: float = 0.0
    relations: bool = True
    superlatives: bool = True
    null_words: bool = True
    gate: bool = True
    possessives: Possessives = "expand"
    superlative_threshold: float = math.inf
    temperature: float | None = None

    keep_distribution: bool = False
    test_every_superlative: bool = False
    all_possessives: bool = False
    expansion_stays_inside: bool = False
    ask_once: bool = False
    superlative_in_noun_phrase: bool = False
    more_relations: bool = False
    more_null_words: bool = False
    empty_boxes: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.area_threshold < 1:
            raise ValueError(f"area_threshold: expected from 0 to less than 1, found {self.area_threshold}")
        if self.possessives not in get_args(Possessives):
            raise ValueError(
                f"possessives: expected one of {', '.join(get_args(Possessives))}, found {self.possessives!r}"
            )
        if not self.superlative_threshold > 1:
            raise ValueError(f"superlative_threshold: expected above 1, found {self.superlative_threshold}")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature: expected above 0, found {self.temperature}")

    @classmethod
    def compat(cls) -> ResolverSettings:
        """The official code with its defaults, as the published numbers were made."""
        return cls()

    @classmethod
    def fixed(cls) -> ResolverSettings:
        """All mends."""
        return cls(**dict.fromkeys(MENDS, True))  # type: ignore[arg-type]

    @property
    def mode(self) -> str:
        """ "compat" or "fixed", with what differs from it; part of every result."""
        mended = sum(getattr(self, name) for name in MENDS)
        name, base = ("fixed", self.fixed()) if mended * 2 > len(MENDS) else ("compat", self.compat())
        changed = [
            f"{each.name}={getattr(self, each.name)}"
            for each in fields(self)
            if getattr(self, each.name) != getattr(base, each.name)
        ]
        return ", ".join([name, *changed])

    @cached_property
    def keywords(self) -> Keywords:
        """The words that these settings listen to."""
        return keywords(self.relations, self.superlatives, self.null_words, self.more_relations, self.more_null_words)
