"""What can be said of a scene, and of which of its things it is true.

Every meaning carries the exact set of things that it is true of: one, several, or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np

from referent.data.scenes.relations import RELATIONS, Relation, across, along, relations
from referent.data.scenes.world import SHAPES, Look, Scene

Kind = Literal["attribute", "relation", "superlative", "ordinal", "plural", "none", "motion"]
"""What tells a phrase's target apart; "motion" is said of clips alone."""
Form = Literal["the", "all", "relation", "outermost", "rank"]
Things: TypeAlias = tuple[int, ...]

ATTRIBUTES = ("size", "colour", "material")
"""Adjectives, in the order in which they are said."""
LAST_PLACE = 5
"""Counting further than this is not something that people do in a phrase."""


@dataclass(frozen=True)
class Description:
    """A noun and its adjectives; what is empty says nothing. Without a shape the noun is "thing"."""

    size: str = ""
    colour: str = ""
    material: str = ""
    shape: str = ""

    def fits(self, look: Look) -> bool:
        """Whether all that it says is true of a thing that looks so."""
        said = (self.size, look.size), (self.colour, look.colour), (self.material, look.material)
        return all(word in ("", own) for word, own in (*said, (self.shape, look.shape)))

    @property
    def adjectives(self) -> int:
        """How many it has."""
        return sum(1 for name in ATTRIBUTES if getattr(self, name))


@dataclass(frozen=True)
class Meaning:
    """One thing that can be said.

    Attributes:
        kind: what it is told apart by; "plural" for all that is true of several, "none" of nothing.
        form: which templates put it into words.
        subject: what it speaks of.
        targets: indices of the things it is true of, in order.
        side: the relation to the landmark, or the side that is counted from.
        place: ordinal, from 1; for "all" the number of targets.
        landmark: the other thing of a relation: the only one that this describes.
        why: for kind "none", what makes it false.
    """

    kind: Kind
    form: Form
    subject: Description
    targets: Things
    side: Relation | Literal[""] = ""
    place: int = 0
    landmark: Description | None = None
    why: str = ""


class Meanings:
    """What can be said of a scene in which every two things are clearly apart, as in `sampling`'s.

    Attributes:
        described: which things each description fits; only descriptions that fit something.
        landmarks: descriptions that name one thing alone, with that thing.
        related: for each relation and thing, the things that stand so, seen from it.
        order: for each side, the things as counted from there.
    """

    def __init__(self, scene: Scene) -> None:
        self.looks = [thing.look for thing in scene.things]
        held = relations(scene)
        self.related: dict[Relation, list[set[int]]] = {
            side: [set(np.flatnonzero(column).tolist()) for column in held[side].T] for side in RELATIONS
        }
        self.described = dict(descriptions(self.looks))
        self.landmarks = list(self._landmarks())
        right, away = across(scene), along(scene)
        indices = range(len(self.looks))
        self.order: dict[Relation, Sequence[int]] = {
            "left": sorted(indices, key=lambda index: right[index]),
            "right": sorted(indices, key=lambda index: -right[index]),
            "front": sorted(indices, key=lambda index: away[index]),
            "behind": sorted(indices, key=lambda index: -away[index]),
        }

    def present(self) -> Iterator[Meaning]:
        """Everything that is true of one thing or of several."""
        for subject, fitting in self.described.items():
            if len(fitting) == 1:
                yield Meaning("attribute", "the", subject, fitting)
                continue
            yield Meaning("plural", "all", subject, fitting, place=len(fitting))
            yield from self._ordered(subject, fitting)
            for side, landmark, targets in self._related(subject, fitting):
                if targets:
                    kind: Kind = "relation" if len(targets) == 1 else "plural"
                    yield Meaning(kind, "relation", subject, targets, side, landmark=landmark)

    def absent(self) -> Iterator[Meaning]:
        """What is true of nothing here, though its words are about things that are here."""
        for shape in SHAPES:
            if Description(shape=shape) in self.described:
                yield from self._unlike(shape)
        for subject, fitting in self.described.items():
            if 1 < len(fitting) < LAST_PLACE and subject.adjectives < 2:
                for side in RELATIONS:
                    place = len(fitting) + 1
                    yield Meaning("none", "rank", subject, (), side, place, why="ordinal")
            for side, landmark, targets in self._related(subject, fitting):
                if not targets:
                    yield Meaning("none", "relation", subject, (), side, landmark=landmark, why="relation")

    def _landmarks(self) -> Iterator[tuple[Description, int]]:
        """With a noun, and no more adjectives than it takes; one more than none is not too many."""
        alone: dict[int, list[Description]] = defaultdict(list)
        for description, fitting in self.described.items():
            if len(fitting) == 1 and description.shape:
                alone[fitting[0]].append(description)
        for index, choices in alone.items():
            needed = max(1, min(description.adjectives for description in choices))
            yield from ((description, index) for description in choices if description.adjectives <= needed)

    def _unlike(self, shape: str) -> Iterator[Meaning]:
        """ "the red cube" where there are cubes, and red things, but none that is both."""
        for name in ATTRIBUTES:
            for word in sorted({getattr(look, name) for look in self.looks}):
                subject = Description(**{name: word, "shape": shape})
                if subject not in self.described:
                    yield Meaning("none", "the", subject, (), why="attribute")

    def _ordered(self, subject: Description, fitting: Things) -> Iterator[Meaning]:
        for side, order in self.order.items():
            counted = [index for index in order if index in fitting]
            yield Meaning("superlative", "outermost", subject, (counted[0],), side)
            # Of two, the second from the left is not how anybody calls the right one.
            if len(counted) > 2:
                for place, index in enumerate(counted[:LAST_PLACE], start=1):
                    yield Meaning("ordinal", "rank", subject, (index,), side, place)

    def _related(self, subject: Description, fitting: Things) -> Iterator[tuple[Relation, Description, Things]]:
        """Every relation of what the subject describes to something that is described alone, and who has it."""
        if subject.adjectives > 1:
            return
        for landmark, anchor in self.landmarks:
            others = [index for index in fitting if index != anchor]
            if others:
                for side in RELATIONS:
                    held = self.related[side][anchor]
                    yield side, landmark, tuple(index for index in others if index in held)


def descriptions(looks: Sequence[Look]) -> Iterator[tuple[Description, Things]]:
    """Every description that fits some of the looks, and which; in an order that depends on the looks alone."""
    fitting: dict[Description, list[int]] = defaultdict(list)
    words = (*ATTRIBUTES, "shape")
    for index, look in enumerate(looks):
        for count in range(len(words) + 1):
            for chosen in combinations(words, count):
                fitting[Description(**{name: getattr(look, name) for name in chosen})].append(index)
    for description, indices in fitting.items():
        yield description, tuple(indices)
