"""What can be said of an English phrase without its picture: its length, whether it speaks of places or relations.

Word lists, not a parser: they group phrases for a breakdown of scores, where being wrong on one phrase in twenty does
no harm, and they need no model. A phrase of another language counts as one without such words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

SAME_CLASS = "same_class"
"""The tag with how many objects of its target's class a picture has, the target included."""
MANY = 4

LENGTHS = ((1, "1 word"), (3, "2 or 3 words"), (6, "4 to 6 words"))
LONGEST = "7 or more words"
"""The names of all lengths, in order, are those of `LENGTHS` and this."""

_PICTURE = r"(?:(?:the|this|our) )?(?:picture|pic|image|photo|photograph|frame|screen|scene|shot)\b"
_PLACE = (
    r"(?:left|right|top|bottom|middle|mid|center|centre|central|upper|lower|front|back|rear|background|foreground"
    r"|corner|lft|rt|rgt|btm|far|leftmost|rightmost|topmost|bottommost|uppermost|lowermost|lefthand|righthand)"
)
_ORDER = (
    r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|last|\d+(?:st|nd|rd|th)|furthest|farthest|nearest|closest"
    r"|closer|highest|lowest)"
)
_COLOUR = (
    r"(?:red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|tan|beige|maroon|gold|silver|dark|light)"
)

# "left of the car", "in front of the house", "in the middle of the table"; not "on the left of the picture".
_PLACED_BY = re.compile(
    r"\b(?:(?:to|on|at|in) )?(?:(?:the|its|his|her) )?(?:(?:far|immediate|very|upper|lower) )?"
    r"(?:left|right|top|bottom|front|back|side|middle|center|centre|edge|end|corner)(?: hand)?(?: side)? of "
    rf"(?!{_PICTURE})"
)
_NEAREST_THING = re.compile(
    r"\b(?:closest|nearest|closer|close) to (?!(?:the )?(?:us|you|me|camera|viewer|front|back)\b)"
)
# The preposition goes with the place, so that "on the left" is no relation.
_PLACED = re.compile(
    r"\b(?:(?:on|in|at|to|from|toward|towards|by|near) )?(?:(?:the|our|your|my) )?"
    rf"(?:very )?(?:{_ORDER}|{_PLACE}(?: {_PLACE})*)(?: most)?(?: hand)?(?: side)?"
    rf"(?: (?:of|in|to) (?:{_PICTURE}|us|you|me|camera))?\b"
)
# "man in blue" says what he looks like; "man in the blue car" says what else is there.
_DRESSED = re.compile(
    rf"\b(?:in|wearing) (?:all )?{_COLOUR}(?: (?:and )?{_COLOUR})*"
    r"(?=$| \||(?: on| in| at| to| by| with| near| next)\b)"
)
_RELATED = re.compile(
    r"\b(?:next to|behind|beside|besides|between|near|by|against|under|underneath|beneath|below|above|over|on|onto|in"
    r"|inside|within|with|at|along|alongside|around|across|among|opposite|facing|touching|holding|wearing|riding"
    r"|carrying|pulling|pushing|eating|drinking|using|following|leading|covering|surrounded|attached|beyond|atop"
    r"|closest to|nearest to|closer to|close to)\b"
)


def words(phrase: str) -> list[str]:
    """Its words in lower case, without punctuation; "man's" is one, "left-most" two."""
    return re.findall(r"\w+(?:['’]\w+)*", phrase.lower())


def length(phrase: str) -> str:
    """Its length in words, as one of four names: "1 word", "2 or 3 words", ..."""
    count = len(words(phrase))
    return next((name for longest, name in LENGTHS if count <= longest), LONGEST)


def speaks_of(phrase: str) -> tuple[bool, bool]:
    """Whether it has words of relation to something else ("next to", "holding", "left of the car"), and of position in
    the picture or among its like ("left", "top right", "second from the left")."""
    text = " ".join(words(phrase))
    rest = _NEAREST_THING.sub("| ", _PLACED_BY.sub("| ", text))
    relation = rest != text
    rest, placed = _PLACED.subn("|", rest)
    return relation or _RELATED.search(_DRESSED.sub("|", rest)) is not None, placed > 0


def groups(
    phrases: Sequence[str], tags: Sequence[Mapping[str, str]], present: NDArray[np.bool_]
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """The ways to tell N phrases apart: (what by, which, (N,) bool), each `what by` with at least two groups.

    By the tag `kind`, by truth (present or absent), length, words of relation, words of position, and by the number of
    objects of the target's class in the picture where the data set knows it (the tag `SAME_CLASS`).
    """
    spoken = [speaks_of(phrase) for phrase in phrases]
    columns: dict[str, tuple[list[str], list[str]]] = {
        "kind": _named([tag.get("kind", "") for tag in tags]),
        "truth": (["present" if one else "absent" for one in present], ["present", "absent"]),
        "length": ([length(phrase) for phrase in phrases], [*(name for _, name in LENGTHS), LONGEST]),
        "relation words": (["with" if relation else "without" for relation, _ in spoken], ["with", "without"]),
        "position words": (["with" if position else "without" for _, position in spoken], ["with", "without"]),
        "objects of its class": (
            [_alike(tag.get(SAME_CLASS, "")) for tag in tags],
            [*map(str, range(1, MANY)), f"{MANY} or more"],
        ),
    }
    for by, (values, order) in columns.items():
        column = np.array(values)
        found = [value for value in order if (column == value).any()]
        if len(found) > 1:
            yield from ((by, value, column == value) for value in found)


def _named(values: list[str]) -> tuple[list[str], list[str]]:
    return values, sorted(set(values) - {""})


def _alike(count: str) -> str:
    """The name of a group of counts; "" for a count that is not known."""
    if not count.isdecimal() or not int(count):
        return ""
    return count if int(count) < MANY else f"{MANY} or more"
