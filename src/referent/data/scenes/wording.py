"""Meanings into words, in several ways, and which of all that can be said is written down.

In a template {n} is the subject with its adjectives, {m} the landmark, {place} an ordinal, {count} a number; a `the `
at the start is left out of half of the phrases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from referent.data.describe.wording import draw
from referent.data.scenes.meanings import Description, Kind, Meaning, Meanings, Things

PLURALS = 2
"""Phrases for several things, a scene."""

_SUPERLATIVES = {
    "left": (("the leftmost {n}", 3), ("the {n} on the far left", 2), ("the {n} furthest to the left", 1)),
    "right": (("the rightmost {n}", 3), ("the {n} on the far right", 2), ("the {n} furthest to the right", 1)),
    "front": (("the frontmost {n}", 2), ("the {n} at the very front", 2), ("the {n} furthest to the front", 1)),
    "behind": (("the rearmost {n}", 1), ("the {n} at the very back", 2), ("the {n} furthest back", 2)),
}
_RELATIONS = {
    "left": (("the {n} to the left of the {m}", 2), ("the {n} left of the {m}", 3)),
    "right": (("the {n} to the right of the {m}", 2), ("the {n} right of the {m}", 3)),
    "front": (("the {n} in front of the {m}", 1),),
    "behind": (("the {n} behind the {m}", 1),),
}
_RANKS = {
    side: ((f"the {{place}} {{n}} from the {name}", 1),)
    for side, name in (("left", "left"), ("right", "right"), ("front", "front"), ("behind", "back"))
}
_THE = (("the {n}", 1),)
_BOTH = (("both {n}", 2), ("the two {n}", 1), ("the {n}", 1))
_ALL = (("all {n}", 3), ("all the {n}", 2), ("the {n}", 2), ("the {count} {n}", 2), ("every {one}", 1))

_PLACES = ("first", "second", "third", "fourth", "fifth")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {
    "large": (("large", 2), ("big", 2)),
    "small": (("small", 3), ("little", 1), ("tiny", 1)),
    "metal": (("metal", 3), ("shiny", 1)),
    "rubber": (("rubber", 3), ("matte", 1)),
    "sphere": (("sphere", 3), ("ball", 2)),
    "cube": (("cube", 3), ("block", 1)),
    "": (("thing", 1), ("object", 1)),
}
# How often each kind is drawn for a target, and each reason for phrases that are true of nothing.
_KINDS: dict[str, float] = {"attribute": 3, "relation": 3, "superlative": 2, "ordinal": 2}
_WHYS: dict[str, float] = {"attribute": 3, "relation": 2, "ordinal": 1}


@dataclass(frozen=True)
class Said:
    """One phrase: its words, the indices of the things it is true of, its kind, and for "none" why it is false."""

    phrase: str
    targets: Things
    kind: Kind
    why: str = ""


def say(meanings: Meanings, random: Random, per_thing: int = 3, none_share: float = 0.1) -> list[Said]:
    """Phrases for a scene.

    Args:
        meanings: what can be said of it.
        random: decides which of it, and how.
        per_thing: at most this many phrases that are true of one thing alone.
        none_share: which share of all is to be true of nothing, on average over scenes; in [0, 1).
    """
    by_target: dict[int, list[Meaning]] = defaultdict(list)
    plurals: list[Meaning] = []
    for meaning in meanings.present():
        if meaning.kind == "plural":
            plurals.append(meaning)
        else:
            by_target[meaning.targets[0]].append(meaning)
    said: dict[str, Said] = {}
    for target in sorted(by_target):
        _say_some(_mixed(by_target[target], _KINDS, random), per_thing, random, said)
    _say_some(_mixed(plurals, {"plural": 1.0}, random), PLURALS, random, said)
    expected = len(said) * none_share / (1 - none_share)
    count = int(expected) + (random.random() < expected % 1)
    if count:
        _say_some(_mixed(meanings.absent(), _WHYS, random), count, random, said)
    return list(said.values())


def realise(meaning: Meaning, random: Random) -> str:
    """One wording of a meaning."""
    several = meaning.kind == "plural"
    template = draw(_templates(meaning), random)
    if several and meaning.form == "relation" and random.random() < 0.4:
        template = "all " + template
    elif template.startswith("the ") and random.random() < 0.5:
        template = template.removeprefix("the ")
    words = {"n": named(meaning.subject, random, several=several)}
    if "{one}" in template:
        words["one"] = named(meaning.subject, random)
    if meaning.landmark is not None:
        words["m"] = named(meaning.landmark, random)
    if meaning.form == "rank":
        words["place"] = _PLACES[meaning.place - 1]
    if meaning.form == "all":
        words["count"] = _NUMBERS[meaning.place]
    return template.format_map(words)


def named(description: Description, random: Random, *, several: bool = False) -> str:
    """A description in words: "large red metal cube", "tiny balls"."""
    words = [
        draw(_WORDS.get(word, ((word, 1),)), random)
        for word in (description.size, description.colour, description.material)
        if word
    ]
    noun = draw(_WORDS.get(description.shape, ((description.shape, 1),)), random)
    return " ".join([*words, noun + "s" if several else noun])


def _templates(meaning: Meaning) -> tuple[tuple[str, float], ...]:
    match meaning.form:
        case "relation":
            return _RELATIONS[meaning.side]
        case "outermost":
            return _SUPERLATIVES[meaning.side]
        case "rank":
            return _RANKS[meaning.side]
        case "all":
            return _BOTH if meaning.place == 2 else _ALL
        case "the":
            return _THE


def _say_some(meanings: Iterator[Meaning], count: int, random: Random, said: dict[str, Said]) -> None:
    done = 0
    for meaning in meanings:
        if done == count:
            return
        text = realise(meaning, random)
        if text not in said:
            said[text] = Said(text, meaning.targets, meaning.kind, meaning.why)
            done += 1


def _mixed(meanings: Iterable[Meaning], weights: dict[str, float], random: Random) -> Iterator[Meaning]:
    """Meanings in random order: kinds (or reasons) by weight however many of each there are, short ones first."""
    left: dict[str, list[Meaning]] = defaultdict(list)
    for meaning in meanings:
        left[meaning.why or meaning.kind].append(meaning)
    while left:
        kind = draw([(kind, weights[kind]) for kind in sorted(left)], random)
        choices = left[kind]
        chosen = draw([(position, _ease(meaning)) for position, meaning in enumerate(choices)], random)
        yield choices.pop(chosen)
        if not choices:
            del left[kind]


def _ease(meaning: Meaning) -> float:
    """How readily people say it, beside others of its kind: few adjectives, and a noun that says something."""
    adjectives = meaning.subject.adjectives + (meaning.landmark.adjectives if meaning.landmark else 0)
    plain = 0.3 if not meaning.subject.shape else 1.0
    # "The first cube from the left" is rather called the leftmost.
    return plain * 0.5**adjectives * (0.2 if meaning.form == "rank" and meaning.place == 1 else 1.0)
