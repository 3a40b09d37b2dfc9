"""What can be said of a picture: every noun with every description, and of which objects it is true.

A meaning is kept only if it is certain of every object of the picture: TRUE or FALSE, never UNSURE. Its targets are the
objects of which it is TRUE: one, several, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from referent.data.describe.colour import COLOURS, SHADES
from referent.data.describe.facts import Scene
from referent.data.describe.nouns import Noun, Vocabulary
from referent.data.describe.predicates import SIDES, Predicates, Side, colours_of
from referent.data.describe.relations import RELATIONS, holds, makes_sense, rides_on_boards
from referent.data.describe.truth import FALSE, TRUE, UNSURE, Truth, both

Kind = Literal["name", "plural", "position", "order", "size", "colour", "relation", "combined", "none"]

# Counting further than this is not something that people do in a phrase.
LAST_PLACE = 4
MOST_COUNTED = 6
# Of more objects than this one may have been missed, so that "the fourth" is not surely false.
MOST_MISSED = 3


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
    """

    def __init__(self, scene: Scene, vocabulary: Vocabulary, *, regions: bool = False) -> None:
        self.scene = scene
        self.vocabulary = vocabulary
        self.regions = regions
        self.predicates = Predicates(scene)
        columns = [vocabulary.categories.index(name) for name in scene.names]
        self._truth: Truth = vocabulary.truth[:, columns]
        self.groups = tuple(self._groups())
        self.landmarks = tuple(self._landmarks())
        self._held: dict[tuple[str, int], Truth] = {}

    def _groups(self) -> Iterator[Group]:
        """Nouns that name at least one object, grouped; classes with a crowd are left out altogether."""
        grouped: dict[tuple[str, bytes], list[int]] = {}
        for row, noun in enumerate(self.vocabulary.nouns):
            truth = self._truth[row]
            if (truth == TRUE).any() and not (self.scene.crowd & (truth > FALSE)).any():
                grouped.setdefault((noun.name, truth.tobytes()), []).append(row)
        for rows in grouped.values():
            yield Group(tuple(self.vocabulary.nouns[row] for row in rows), self._truth[rows[0]])

    def _landmarks(self) -> Iterator[tuple[int, Group]]:
        """Objects that a class names alone: what others can be placed by."""
        seen: set[str] = set()
        for group in self.groups:
            noun = group.nouns[0]
            usable = not (self.regions or noun.kind or noun.entry.part or group.doubtful or noun.name in seen)
            if usable and len(group.certain) == 1 and not self.scene.overlooked[group.certain[0]]:
                seen.add(noun.name)
                yield group.certain[0], group

    # --- what is there

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
        several = len(group.certain) > 1 or (self.regions and not group.nouns[0].entry.part)
        if not several:
            yield Meaning("name", "the", group.nouns, group.certain)
            return
        yield Meaning("plural", "all", group.nouns, group.certain)
        counted = 1 < len(group.certain) <= MOST_COUNTED and self.predicates.countable(group.truth)
        if counted and not (self.regions or group.nouns[0].entry.part):
            form = "both" if len(group.certain) == 2 else "count"
            yield Meaning("plural", form, group.nouns, group.certain, place=len(group.certain))

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
        plain = kind.sides == "plain"

        def say(
            what: Kind, form: str, truth: Truth, side: str = "", side2: str = "", place: int = 0
        ) -> Iterator[Meaning]:
            what = "combined" if group.colour else what
            meaning = Meaning(what, form, group.nouns, (), group.colour, side, side2, place)
            return self._certain(meaning, both(among, truth))

        for side in SIDES:
            if plain and several:
                yield from say("position", "which", p.which(among, side), side)
            yield from say("position", "at" if plain else "at-picture", p.at(among, side), side)
            if several:
                yield from say("position", "most", p.outermost(among, side), side)
        vertical: Side
        horizontal: Side
        for vertical in ("top", "bottom"):
            for horizontal in ("left", "right"):
                if plain:
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
        for form, landmark, truth in self._relations(group):
            meaning = Meaning(kind, form, group.nouns, (), group.colour, landmark=landmark.nouns)
            yield from self._certain(meaning, truth)

    def _relations(self, group: Group) -> Iterator[tuple[str, Group, Truth]]:
        """Every sensible relation of the group's nouns to a landmark, and its truth."""
        subject = group.nouns[0]
        if subject.kind or subject.entry.sides == "picture":
            return
        for index, landmark in self.landmarks:
            if group.truth[index] > FALSE:
                continue
            name = landmark.nouns[0].name
            for relation in RELATIONS:
                if not makes_sense(relation, subject.name, name):
                    continue
                boards = rides_on_boards(name)
                held = self._held.get((relation, index))
                if held is None:
                    held = self._held[relation, index] = holds(self.scene, relation, index, boards)
                yield ("ride-board" if relation == "ride" and boards else relation), landmark, both(group.truth, held)

    def _certain(self, meaning: Meaning, truth: Truth) -> Iterator[Meaning]:
        """The meaning with its targets, if it is certain of every object and of one that nobody overlooks."""
        targets = np.flatnonzero(truth == TRUE)
        if len(targets) == 0 or (truth == UNSURE).any() or self.scene.overlooked[targets].any():
            return
        plural_only = {
            "which",
            "at",
            "at-picture",
            "colour",
            "corner",
            "with",
            "next",
            "on",
            "left",
            "right",
            "above",
            "below",
        }
        if len(targets) > 1 and meaning.form not in plural_only:
            return
        if len(targets) > 1 and meaning.nouns[0].entry.number == "mass":
            return
        kind = "plural" if len(targets) > 1 else meaning.kind
        yield Meaning(
            kind,
            meaning.form,
            meaning.nouns,
            tuple(int(i) for i in targets),
            meaning.colour,
            meaning.side,
            meaning.side2,
            meaning.place,
            meaning.landmark,
        )

    # --- what is not there

    def absent(self) -> Iterator[Meaning]:
        """Phrases that are certainly false of every object: absent classes, colours, places, orders and relations."""
        if len(self.scene) == 0:
            return
        absent = [
            noun
            for noun, truth in zip(self.vocabulary.nouns, self._truth, strict=True)
            if not noun.kind and bool((truth == FALSE).all())
        ]
        for noun in absent:
            yield Meaning("none", "the", (noun,), (), why="class")
            for colour in colours_of(noun.entry.colour):
                if colour not in COLOURS:
                    continue
                yield Meaning("none", "colour", (noun,), (), colour, why="class")
            if not (noun.entry.part or self.regions or noun.entry.sides == "picture"):
                for side in SIDES:
                    yield Meaning("none", "at", (noun,), (), side=side, why="class")
        for group in self.groups:
            yield from self._absent_colours(group)
            if not (group.nouns[0].entry.part or self.regions):
                yield from self._absent_places(group)
                yield from self._absent_coloured_places(group)
                yield from self._absent_relations(group, absent)

    def _absent_colours(self, group: Group) -> Iterator[Meaning]:
        entry = group.nouns[0].entry
        if self.regions and not entry.part:
            return
        for colour in colours_of(entry.colour):
            # "dark" and "light" say too little to be denied.
            if colour in COLOURS and (both(group.truth, self.predicates.colourless(colour)) == FALSE).all():
                yield Meaning("none", "colour", group.nouns, (), colour, why="colour")

    def _absent_places(self, group: Group) -> Iterator[Meaning]:
        plain = group.nouns[0].entry.sides == "plain"
        for side in SIDES:
            if (both(group.truth, self.predicates.beyond(side)) == FALSE).all():
                yield Meaning("none", "at" if plain else "at-picture", group.nouns, (), side=side, why="position")
        count = len(group.certain)
        if self.predicates.countable(group.truth) and group.nouns[0].entry.number == "count":
            if count <= MOST_MISSED:
                for side in ("left", "right"):
                    yield Meaning("none", "rank", group.nouns, (), side=side, place=count + 1, why="order")
            if 1 < count <= MOST_MISSED:
                yield Meaning("none", "count", group.nouns, (), place=count + 1, why="order")

    def _absent_coloured_places(self, group: Group) -> Iterator[Meaning]:
        """ "the black cat on the left", where there are black cats, and cats on the left."""
        entry = group.nouns[0].entry
        if entry.sides != "plain":
            return
        for side in SIDES:
            elsewhere = self.predicates.beyond(side)
            if (both(group.truth, elsewhere) == FALSE).all():
                continue
            for colour in (colour for colour in colours_of(entry.colour) if colour in COLOURS):
                bare = both(group.truth, self.predicates.colourless(colour))
                if not (bare == FALSE).all() and (both(bare, elsewhere) == FALSE).all():
                    yield Meaning("none", "at", group.nouns, (), colour, side=side, why="combined")

    def _absent_relations(self, group: Group, absent: list[Noun]) -> Iterator[Meaning]:
        for form, landmark, truth in self._relations(group):
            if (truth == FALSE).all():
                yield Meaning("none", form, group.nouns, (), landmark=landmark.nouns, why="relation")
        subject = group.nouns[0]
        if subject.kind or subject.entry.sides == "picture":
            return
        for noun in absent:
            for relation in ("on", "ride", "with", "next"):
                if not noun.entry.part and makes_sense(relation, subject.name, noun.name):  # type: ignore[arg-type]
                    form = "ride-board" if relation == "ride" and rides_on_boards(noun.name) else relation
                    yield Meaning("none", form, group.nouns, (), landmark=(noun,), why="relation")
