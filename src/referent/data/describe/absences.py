"""What is certainly false of a picture: phrases that are true of nothing in it.

Being wrong is easy here: what was overlooked, or goes by another name, would make the phrase true. So a class is
absent only if the file annotates it elsewhere and nothing in the picture could be called so; a colour, only if next to
no pixel could be called so; a place, only if everything lies wholly in the other half; an order, only where few are
counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from referent.data.describe.colour import COLOURS
from referent.data.describe.meanings import Group, Meaning, Meanings
from referent.data.describe.nouns import Entry, Noun
from referent.data.describe.predicates import SIDES, colours_of
from referent.data.describe.relations import Relation, makes_sense
from referent.data.describe.truth import FALSE, both

# Of more objects than this one may have been missed, so that "the fourth" is not surely false.
MOST_COUNTED = 3
_TO_ABSENT: tuple[Relation, ...] = ("on", "ride", "stand", "with", "next")


def absences(meanings: Meanings) -> Iterator[Meaning]:
    """Phrases that are false of every object. Of a picture without objects nothing is known, so nothing is denied."""
    if len(meanings.scene) == 0:
        return
    absent = [
        noun
        for noun, truth in zip(meanings.vocabulary.nouns, meanings.truth, strict=True)
        if not noun.kind and bool((truth == FALSE).all())
    ]
    for noun in absent:
        yield from _class(noun, positions=not meanings.regions)
    for group in meanings.groups:
        part = group.nouns[0].entry.part
        if part or not meanings.regions:
            yield from _colours(meanings, group)
        if not (part or meanings.regions):
            yield from _places(meanings, group)
            yield from _orders(meanings, group)
            yield from _coloured_places(meanings, group)
            yield from _relations(meanings, group, absent)


def _class(noun: Noun, *, positions: bool) -> Iterator[Meaning]:
    yield Meaning("none", "the", (noun,), (), why="class")
    for colour in _deniable(noun.entry):
        yield Meaning("none", "colour", (noun,), (), colour, why="class")
    if positions and not noun.entry.part:
        for side in SIDES:
            yield Meaning("none", "at", (noun,), (), side=side, why="class")


def _colours(meanings: Meanings, group: Group) -> Iterator[Meaning]:
    for colour in _deniable(group.nouns[0].entry):
        if (both(group.truth, meanings.predicates.colourless(colour)) == FALSE).all():
            yield Meaning("none", "colour", group.nouns, (), colour, why="colour")


def _places(meanings: Meanings, group: Group) -> Iterator[Meaning]:
    for side in SIDES:
        if (both(group.truth, meanings.predicates.beyond(side)) == FALSE).all():
            yield Meaning("none", "at", group.nouns, (), side=side, why="position")


def _orders(meanings: Meanings, group: Group) -> Iterator[Meaning]:
    """ "the third cat from the left", "all three cats", where there are two."""
    count = len(group.certain)
    countable = group.nouns[0].entry.number == "count" and meanings.predicates.countable(group.truth)
    if not countable or count > MOST_COUNTED:
        return
    yield Meaning("none", "rank", group.nouns, (), side="left", place=count + 1, why="order")
    yield Meaning("none", "rank", group.nouns, (), side="right", place=count + 1, why="order")
    if count > 1:
        yield Meaning("none", "count", group.nouns, (), place=count + 1, why="order")


def _coloured_places(meanings: Meanings, group: Group) -> Iterator[Meaning]:
    """ "the black cat on the left", where there are black cats, and cats on the left, but none that is both."""
    entry = group.nouns[0].entry
    for side in SIDES:
        elsewhere = meanings.predicates.beyond(side)
        if (both(group.truth, elsewhere) == FALSE).all():
            continue
        for colour in _deniable(entry):
            having = both(group.truth, meanings.predicates.colourless(colour))
            if not (having == FALSE).all() and (both(having, elsewhere) == FALSE).all():
                yield Meaning("none", "at", group.nouns, (), colour, side=side, why="combined")


def _relations(meanings: Meanings, group: Group, absent: Sequence[Noun]) -> Iterator[Meaning]:
    for form, landmark, truth in meanings.relations(group):
        if (truth == FALSE).all():
            yield Meaning("none", form, group.nouns, (), landmark=landmark.nouns, why="relation")
    subject = group.nouns[0]
    if subject.kind:
        return
    for noun in absent:
        for relation in _TO_ABSENT:
            if not noun.entry.part and makes_sense(relation, subject.name, noun.name):
                yield Meaning("none", relation, group.nouns, (), landmark=(noun,), why="relation")


def _deniable(entry: Entry) -> Iterator[str]:
    """Colours that can be denied of a thing; "dark" and "light" say too little for that."""
    return (colour for colour in colours_of(entry.colour) if colour in COLOURS)
