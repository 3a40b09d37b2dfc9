"""What can be said of a picture: every noun with every description, and of which objects it is true.

A meaning is kept only if it is certain of every object of the picture: TRUE or FALSE, never UNSURE. Its targets are the
objects of which it is TRUE: one, several, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from referent.data.describe.colour import SHADES
from referent.data.describe.facts import Scene
from referent.data.describe.nouns import Noun, Vocabulary
from referent.data.describe.predicates import SIDES, Predicates, Side, colours_of
from referent.data.describe.relations import RELATIONS, holds, makes_sense
from referent.data.describe.truth import FALSE, TRUE, UNSURE, Truth, both

Kind = Literal["name", "plural", "position", "order", "size", "colour", "relation", "combined", "none"]

# Counting further than this is not something that people do in a phrase.
LAST_PLACE = 4
MOST_COUNTED = 6
# What can be said of several at once ("the red cars", "the cats on the left").
_OF_SEVERAL = frozenset(("which", "at", "colour", "corner", "with", "next", "on", "left", "right", "above", "below"))


@dataclass(frozen=True)
class Meaning:
    """One thing that can be said.

    Attributes:
        kind: what kind of phrase it makes; "none" for one that is true of nothing.
        form: which templates put it into words.
        nouns: interchangeable nouns of the subject.
        targets: indices of the objects it is true of.
        colour: colour of the subject, worn or not.
        side, side2: sides that the form names.
        place: ordinal or number that the form names.
        landmark: interchangeable nouns of the other object.
        why: for kind "none", what makes it false.
    """

    kind: Kind
    form: str
    nouns: tuple[Noun, ...]
    targets: tuple[int, ...]
    colour: str = ""
    side: str = ""
    side2: str = ""
    place: int = 0
    landmark: tuple[Noun, ...] = ()
    why: str = ""


@dataclass(frozen=True, eq=False)
class Group:
    """Nouns of one class that name the same objects of the picture, and the objects that they name."""

    nouns: tuple[Noun, ...]
    truth: Truth
    colour: str = ""

    @property
    def certain(self) -> tuple[int, ...]:
        """Indices of what it surely names."""
        return tuple(int(i) for i in np.flatnonzero(self.truth == TRUE))

    @property
    def doubtful(self) -> bool:
        """Whether it might name something more."""
        return bool((self.truth == UNSURE).any())


class Meanings:
    """The meanings of one scene.

    Args:
        scene: its objects.
        vocabulary: the nouns of its file; only classes that the file really annotates, because a file is taken to say
            which of these are absent.
        regions: an annotation may hold several things of its class, so nothing may be counted, ordered or compared.

    Attributes:
        truth: (nouns of the vocabulary, objects) int8: what each noun names.
        groups: nouns that name something, by class and by what they name.
        landmarks: objects that others can be placed by, with their nouns.
    """

    def __init__(self, scene: Scene, vocabulary: Vocabulary, *, regions: bool = False) -> None:
        self.scene = scene
        self.vocabulary = vocabulary
        self.regions = regions
        self.predicates = Predicates(scene)
        columns = [vocabulary.categories.index(name) for name in scene.names]
        self.truth: Truth = vocabulary.truth[:, columns]
        self.groups = tuple(self._groups())
        self.landmarks = tuple(self._landmarks())
        self._held: dict[tuple[str, int], Truth] = {}

    def _groups(self) -> Iterator[Group]:
        """Nouns that name at least one object, grouped; classes with a crowd are left out altogether."""
        grouped: dict[tuple[str, bytes], list[int]] = {}
        for row, noun in enumerate(self.vocabulary.nouns):
            truth = self.truth[row]
            if (truth == TRUE).any() and not (self.scene.crowd & (truth > FALSE)).any():
                grouped.setdefault((noun.name, truth.tobytes()), []).append(row)
        for rows in grouped.values():
            yield Group(tuple(self.vocabulary.nouns[row] for row in rows), self.truth[rows[0]])

    def _landmarks(self) -> Iterator[tuple[int, Group]]:
        """Objects that a class names alone: what others can be placed by."""
        seen: set[str] = set()
        for group in self.groups:
            noun = group.nouns[0]
            usable = not (self.regions or noun.kind or noun.entry.part or group.doubtful or noun.name in seen)
            if usable and len(group.certain) == 1 and not self.scene.overlooked[group.certain[0]]:
                seen.add(noun.name)
                yield group.certain[0], group

    def present(self) -> Iterator[Meaning]:
        """Everything that is certainly true of one object or of several and certainly false of all others."""
        for group in self.groups:
            yield from self._names(group)
            if group.nouns[0].entry.part or self.regions:
                yield from self._coloured(group, compare=False)
                continue
            yield from self._placed(group)
            yield from self._related(group)
            yield from self._coloured(group, compare=True)

    def _names(self, group: Group) -> Iterator[Meaning]:
        own = tuple(noun for noun in group.nouns if noun.own)
        if own:
            # A class asked by its own name means what the file labels so, whatever it might be mistaken for.
            labelled = tuple(i for i, name in enumerate(self.scene.names) if name == own[0].name)
            yield Meaning("name", "label", own, labelled)
        if group.doubtful:
            return
        others = tuple(noun for noun in group.nouns if not noun.own)
        if others:
            yield Meaning("name", "label", others, group.certain)
        if len(group.certain) == 1 and self._perhaps_two(group.certain[0], group.nouns[0]):
            if group.nouns[0].entry.part:
                # Two wheels in one mask, as a rule.
                yield Meaning("plural", "all", group.nouns, group.certain)
            return
        several = len(group.certain) > 1 or (self.regions and not group.nouns[0].entry.part)
        if not several:
            yield Meaning("name", "the", group.nouns, group.certain)
            return
        yield Meaning("plural", "all", group.nouns, group.certain)
        counted = 1 < len(group.certain) <= MOST_COUNTED and self.predicates.countable(group.truth)
        if counted and group.nouns[0].entry.number == "count" and not (self.regions or group.nouns[0].entry.part):
            form = "both" if len(group.certain) == 2 else "count"
            yield Meaning("plural", form, group.nouns, group.certain, place=len(group.certain))

    def _perhaps_two(self, index: int, noun: Noun) -> bool:
        """Whether a mask may hold two of what the noun names one of. (A garment in two parts is still one.)"""
        return not self.regions and noun.entry.number == "count" and bool(self.scene.scattered[index])

    def _coloured(self, group: Group, *, compare: bool) -> Iterator[Meaning]:
        entry = group.nouns[0].entry
        if self.regions and not entry.part:
            return
        for colour in colours_of(entry.colour):
            truth = both(group.truth, self.predicates.coloured(colour, entry.colour))
            if not (truth == TRUE).any():
                continue
            if colour in SHADES and compare and int((group.truth > FALSE).sum()) < 2:
                continue  # dark beside what?
            part = Group(group.nouns, truth, colour)
            yield from self._certain(Meaning("colour", "colour", group.nouns, (), colour), truth)
            if compare and len(part.certain) < len(group.certain):
                yield from self._placed(part)
                yield from self._related(part)

    def _placed(self, group: Group) -> Iterator[Meaning]:
        """Position, order, size and depth among what the group names."""
        p, among, kind = self.predicates, group.truth, group.nouns[0].entry
        several = int((among > FALSE).sum()) > 1

        def say(
            what: Kind, form: str, truth: Truth, side: str = "", side2: str = "", place: int = 0
        ) -> Iterator[Meaning]:
            what = "combined" if group.colour else what
            meaning = Meaning(what, form, group.nouns, (), group.colour, side, side2, place)
            return self._certain(meaning, both(among, truth))

        for side in SIDES:
            if several:
                yield from say("position", "which", p.which(among, side), side)
            yield from say("position", "at", p.at(among, side), side)
            if several:
                yield from say("position", "most", p.outermost(among, side), side)
        vertical: Side
        horizontal: Side
        for vertical in ("top", "bottom"):
            for horizontal in ("left", "right"):
                yield from say("position", "corner", p.corner(vertical, horizontal), vertical, horizontal)
        yield from say("position", "middle" if several else "centre", p.middle(among))
        if not several:
            return
        for side in SIDES:
            for place in range(1, min(len(group.certain), LAST_PLACE + 1)):
                yield from say("order", "rank", p.rank(among, side, place), side, place=place)
        if kind.number == "count":
            pair = int((among > FALSE).sum()) == 2
            yield from say("size", "bigger" if pair else "biggest", p.biggest(among))
            yield from say("size", "smaller" if pair else "smallest", p.smallest(among))
            yield from say("size", "big", p.big(among))
            yield from say("size", "small", p.small(among))
        if kind.upright:
            yield from say("size", "tallest", p.tallest(among))
            yield from say("size", "shortest", p.shortest(among))
        yield from say("position", "front", p.front(among, ground=kind.ground))
        yield from say("position", "back", p.back(among, ground=kind.ground))

    def _related(self, group: Group) -> Iterator[Meaning]:
        kind: Kind = "combined" if group.colour else "relation"
        for form, landmark, truth in self.relations(group):
            meaning = Meaning(kind, form, group.nouns, (), group.colour, landmark=landmark.nouns)
            yield from self._certain(meaning, truth)

    def relations(self, group: Group) -> Iterator[tuple[str, Group, Truth]]:
        """Every sensible relation of the group's nouns to a landmark, and its truth."""
        subject = group.nouns[0]
        if subject.kind:
            return
        for index, landmark in self.landmarks:
            if group.truth[index] > FALSE:
                continue
            name = landmark.nouns[0].name
            for relation in RELATIONS:
                if not makes_sense(relation, subject.name, name):
                    continue
                held = self._held.get((relation, index))
                if held is None:
                    held = self._held[relation, index] = holds(self.scene, relation, index)
                yield relation, landmark, both(group.truth, held)

    def _certain(self, meaning: Meaning, truth: Truth) -> Iterator[Meaning]:
        """The meaning with its targets, if it is certain of every object and of one that nobody overlooks."""
        targets = np.flatnonzero(truth == TRUE)
        if len(targets) == 0 or (truth == UNSURE).any() or self.scene.overlooked[targets].any():
            return
        if len(targets) == 1 and self._perhaps_two(int(targets[0]), meaning.nouns[0]):
            return
        if len(targets) > 1 and meaning.form not in _OF_SEVERAL:
            return
        if len(targets) > 1 and meaning.nouns[0].entry.number == "mass":
            return
        kind: Kind = "plural" if len(targets) > 1 else meaning.kind
        yield replace(meaning, kind=kind, targets=tuple(int(i) for i in targets))
