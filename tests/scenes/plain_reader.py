"""Reads a phrase as anybody would and finds what it is true of, from a scene's record alone: shares no code with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

WORDS = {
    **dict.fromkeys(("large", "big"), ("size", "large")),
    **dict.fromkeys(("small", "little", "tiny"), ("size", "small")),
    **dict.fromkeys(("metal", "shiny"), ("material", "metal")),
    **dict.fromkeys(("rubber", "matte"), ("material", "rubber")),
    **{word: ("colour", word) for word in "grey red blue green brown purple cyan yellow".split()},
    **dict.fromkeys(("sphere", "ball"), ("shape", "sphere")),
    **dict.fromkeys(("cube", "block"), ("shape", "cube")),
    "cylinder": ("shape", "cylinder"),
}
PLACES = ("first", "second", "third", "fourth", "fifth")
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
ENDS = {
    r"leftmost (.+)|(.+) on the far left|(.+) furthest to the left": "left",
    r"rightmost (.+)|(.+) on the far right|(.+) furthest to the right": "right",
    r"frontmost (.+)|(.+) at the very front|(.+) furthest to the front": "front",
    r"rearmost (.+)|(.+) at the very back|(.+) furthest back": "back",
}
RELATIONS = {
    r"(.+?) (?:to the )?left of the (.+)": "left",
    r"(.+?) (?:to the )?right of the (.+)": "right",
    r"(.+?) in front of the (.+)": "front",
    r"(.+?) behind the (.+)": "back",
}


def true_of(phrase: str, record: dict[str, Any]) -> set[int]:
    """Indices of the things of a scene's record that a phrase is true of."""
    rest = re.sub(r"^(all the|all|both|every|the) ", "", phrase)
    number, _, others = rest.partition(" ")
    if number in NUMBERS:
        found = true_of(others, record)
        assert len(found) == NUMBERS.index(number) + 2, phrase
        return found
    for pattern, side in RELATIONS.items():
        if match := re.fullmatch(pattern, rest):
            landmark = named(match[2], record)
            assert len(landmark) == 1, phrase
            reach = ahead(side, record)
            (anchor,) = landmark
            return {index for index in named(match[1], record) - landmark if reach(index) > reach(anchor)}
    for pattern, side in ENDS.items():
        if match := re.fullmatch(pattern, rest):
            (subject,) = filter(None, match.groups())
            return {max(named(subject, record), key=ahead(side, record))}
    if match := re.fullmatch(rf"({'|'.join(PLACES)}) (.+) from the (left|right|front|back)", rest):
        counted = sorted(named(match[2], record), key=ahead(match[3], record), reverse=True)
        place = PLACES.index(match[1])
        return set(counted[place : place + 1])
    found = named(rest, record)
    assert len(found) == 2 or not phrase.startswith("both"), phrase
    return found


def named(text: str, record: dict[str, Any]) -> set[int]:
    """What adjectives and a noun fit."""
    *adjectives, noun = text.split()
    if noun not in ("cubes", "cylinders", "spheres", "balls", "blocks", "things", "objects"):
        noun += "s"
    noun = noun.removesuffix("s")
    wanted = [WORDS[word] for word in adjectives] + ([] if noun in ("thing", "object") else [WORDS[noun]])
    things = enumerate(record["things"])
    return {index for index, thing in things if all(thing[key] == value for key, value in wanted)}


def ahead(side: str, record: dict[str, Any]) -> Callable[[int], float]:
    """How far to a side each thing stands; left and right as seen, front and back along the plane."""
    position = np.array(record["camera"]["position"])
    right, _, forward = np.array(record["camera"]["right_up_forward"])
    away = np.array([forward[0], forward[1], 0.0])

    def reach(index: int) -> float:
        offset = np.array(record["things"][index]["centre"]) - position
        across = float(offset @ right / (offset @ forward))
        depth = float(offset @ away)
        return {"left": -across, "right": across, "front": -depth, "back": depth}[side]

    return reach
