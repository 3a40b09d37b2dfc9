"""Meanings into words, in the ways people write: with articles or without, "on the left" or "left", "2nd" or "second".

In a template, {n} is the subject with its colour, {m} the landmark, {side}, {side2}, {place} what they say, and `the `
an article that half of the phrases leave out.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from referent.data.describe.meanings import Meaning
from referent.data.describe.nouns import Noun

T = TypeVar("T")

_ACROSS = ("left", "right")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
_ORDINALS = (
    ("first", "1st"),
    ("second", "2nd"),
    ("third", "3rd"),
    ("fourth", "4th"),
    ("fifth", "5th"),
    ("sixth", "6th"),
)

_TEMPLATES: dict[str, tuple[tuple[str, float], ...]] = {
    "the": (("the {n}", 3), ("a {n}", 1)),
    "colour": (("the {n}", 1),),
    "at-left/right": (
        ("the {n} on the {side}", 5),
        ("the {n} on {side}", 3),
        ("the {n} to the {side}", 1),
        ("the {n} at {side}", 0.4),
        ("the {n} on the {side} side", 1),
        ("{n} {side}", 0.5),
        ("the {n} {side} side", 0.3),
        ("the {n} at the {side} of the picture", 0.3),
    ),
    "at-top/bottom": (
        ("the {n} at the {side}", 4),
        ("the {n} at {side}", 1),
        ("the {n} on the {side}", 1),
        ("{n} {side}", 0.4),
        ("the {n} at the {side} of the picture", 0.5),
    ),
    "which-left/right": (("the {side} {n}", 5), ("the {side} side {n}", 0.3), ("{side} hand {n}", 0.2)),
    "which-top/bottom": (("the {side} {n}", 4), ("the {updown} {n}", 1)),
    "most-left/right": (
        ("the {side}most {n}", 3),
        ("the {n} on the far {side}", 2),
        ("the {n} on far {side}", 1.5),
        ("the far {side} {n}", 2),
        ("the {n} furthest {side}", 0.6),
        ("the {n} furthest to the {side}", 0.6),
        ("{side} most {n}", 0.7),
    ),
    "most-top/bottom": (("the {toplow} {n}", 2), ("the {side}most {n}", 1), ("the {n} at the very {side}", 0.7)),
    "corner": (
        ("the {side} {side2} {n}", 3),
        ("{n} {side} {side2}", 1),
        ("the {n} in the {side} {side2}", 1.5),
        ("the {n} at the {side} {side2}", 1),
        ("the {n} on the {side} {side2}", 0.5),
        ("the {updown} {side2} {n}", 0.7),
    ),
    "middle": (
        ("the middle {n}", 3),
        ("the {n} in the middle", 3),
        ("the {n} in middle", 1),
        ("the center {n}", 0.7),
        ("the {n} in the center", 1),
        ("the {n} in the centre", 0.5),
    ),
    "centre": (
        ("the {n} in the middle", 3),
        ("the {n} in middle", 1),
        ("the {n} in the center", 1),
        ("the {n} in the centre", 0.5),
    ),
    "rank-left/right": (
        ("the {place} {n} from the {side}", 4),
        ("the {place} {n} from {side}", 3),
        ("{n} {place} from {side}", 1),
        ("the {n} that is {place} from the {side}", 0.4),
    ),
    "rank-top/bottom": (("the {place} {n} from the {side}", 3), ("the {place} {n} from {side}", 2)),
    "biggest": (("the biggest {n}", 3), ("the largest {n}", 2)),
    "smallest": (("the smallest {n}", 1),),
    "big": (("the big {n}", 3), ("the large {n}", 1.5)),
    "small": (("the small {n}", 3), ("the little {n}", 2), ("the tiny {n}", 0.5)),
    "bigger": (("the bigger {n}", 3), ("the larger {n}", 2), ("the biggest {n}", 2), ("the largest {n}", 1)),
    "smaller": (("the smaller {n}", 2), ("the smallest {n}", 1)),
    "tallest": (("the tallest {n}", 1),),
    "shortest": (("the shortest {n}", 1),),
    "front": (
        ("the {n} in front", 4),
        ("the front {n}", 2),
        ("the closest {n}", 1),
        ("the nearest {n}", 0.7),
        ("the {n} closest to the camera", 0.5),
        ("the {n} in the front", 1),
    ),
    "back": (
        ("the {n} in back", 3),
        ("the {n} in the back", 2),
        ("the back {n}", 1),
        ("the {n} furthest away", 0.5),
        ("the {n} at the back", 1),
    ),
    "left": (("the {n} to the left of {m}", 3), ("the {n} left of {m}", 3), ("the {n} on the left of {m}", 1)),
    "right": (("the {n} to the right of {m}", 3), ("the {n} right of {m}", 3), ("the {n} on the right of {m}", 1)),
    "above": (("the {n} above {m}", 1),),
    "below": (("the {n} below {m}", 1),),
    "next": (("the {n} next to {m}", 4), ("the {n} beside {m}", 2), ("the {n} by {m}", 2)),
    "on": (("the {n} on {m}", 1), ("the {n} on top of {m}", 0.2)),
    "ride": (("the {n} on {m}", 1),),
    "stand": (("the {n} on {m}", 1),),
    "with": (("the {n} with {m}", 1),),
    "both": (("both {n}", 2), ("both the {n}", 0.5), ("the two {n}", 2), ("the 2 {n}", 0.3), ("both of the {n}", 0.5)),
    "count": (("the {number} {n}", 3), ("all {number} {n}", 2)),
}
_ALL_COUNT = (("all the {n}", 4), ("all {n}", 2), ("the {n}", 2), ("{n}", 2), ("all of the {n}", 0.7))
_EACH = (("every {n}", 1), ("each {n}", 0.6))


def realise(meaning: Meaning, random: Random) -> tuple[str, Noun]:
    """One wording of a meaning, and the noun it uses. `random` decides which."""
    noun = draw([(noun, noun.weight) for noun in meaning.nouns], random)
    several = len(meaning.targets) > 1
    countable = noun.entry.number == "count"
    if meaning.form == "label":
        plural = several and countable and random.random() < 0.35
        return (noun.plural if plural else noun.word), noun
    if meaning.form == "all":
        each = countable and random.random() < 0.2
        template = draw(_EACH if each else _ALL_COUNT, random)
        return template.replace("{n}", noun.word if each else noun.plural), noun
    plural = several or meaning.form in ("both", "count")
    template = draw(_templates(meaning), random)
    if (plural or not countable) and template.startswith("a "):
        template = "the " + template.removeprefix("a ")
    if template.startswith("the ") and random.random() < 0.5:
        template = template.removeprefix("the ")
    if plural and template.startswith("the ") and meaning.form not in ("both", "count") and random.random() < 0.3:
        template = "all " + template
    subject = _subject(noun.plural if plural else noun.word, meaning, random)
    if template.startswith("a ") and _vowel(subject):
        template = "an " + template.removeprefix("a ")
    text = (
        template.replace("{n}", subject)
        .replace("{side2}", meaning.side2)
        .replace("{side}", meaning.side)
        .replace("{updown}", {"top": "upper", "bottom": "lower"}.get(meaning.side, ""))
        .replace("{toplow}", {"top": "highest", "bottom": "lowest"}.get(meaning.side, ""))
        .replace("{number}", _NUMBERS[meaning.place] if meaning.place < len(_NUMBERS) else str(meaning.place))
    )
    if "{place}" in text:
        word, figure = _ORDINALS[meaning.place - 1]
        text = text.replace("{place}", word if random.random() < 0.65 else figure)
    if "{m}" in text:
        landmark = draw([(other, other.weight) for other in meaning.landmark], random)
        text = text.replace("{m}", _landmark(landmark, random))
    return text, noun


def draw(choices: Sequence[tuple[T, float]], random: Random) -> T:
    """One of (value, weight) pairs."""
    return random.choices([value for value, _ in choices], [weight for _, weight in choices])[0]


def _templates(meaning: Meaning) -> tuple[tuple[str, float], ...]:
    form = meaning.form
    if meaning.side and form != "corner":
        form += "-left/right" if meaning.side in _ACROSS else "-top/bottom"
    return _TEMPLATES[form]


def _subject(word: str, meaning: Meaning, random: Random) -> str:
    if not meaning.colour:
        return word
    if meaning.nouns[0].entry.colour == "worn":
        return f"{word} {draw((('in', 4.0), ('wearing', 1.0), ('dressed in', 0.6)), random)} {meaning.colour}"
    return f"{meaning.colour} {word}"


def _landmark(noun: Noun, random: Random) -> str:
    article = random.random()
    if noun.entry.number != "count":
        return f"the {noun.word}" if article < 0.7 else noun.word
    if article < 0.7:
        return f"the {noun.word}"
    if article < 0.85:
        return noun.word
    return f"{'an' if _vowel(noun.word) else 'a'} {noun.word}"


def _vowel(word: str) -> bool:
    """Whether "an" goes before it."""
    return word[0] in "aeio" or word.startswith("um")
