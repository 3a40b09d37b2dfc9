"""A second reader of phrases: from the words alone, of which objects could one say this? No margins, no shared code.

Where a phrase compares, every object gets a score (lower fits better); a phrase is true of its targets alone if each of
them fits better than every other object that the words might name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from painted import PAINTS, Thing

WORDS = {
    "person": ("person", "people", "human", "humans", "figure", "figures", "individual", "individuals"),
    "car": ("car", "cars", "automobile", "automobiles", "vehicle", "vehicles"),
    "truck": ("truck", "trucks", "lorry", "lorries", "vehicle", "vehicles"),
    "bus": ("bus", "buses", "vehicle", "vehicles"),
    "dog": ("dog", "dogs", "pooch", "pooches", "canine", "canines", "animal", "animals"),
    "cat": ("cat", "cats", "kitty", "kitties", "feline", "felines", "animal", "animals"),
    "zebra": ("zebra", "zebras", "animal", "animals"),
    "teddy bear": ("teddy bear", "teddy bears", "teddy", "teddies"),
    "cup": ("cup", "cups"),
    "dining table": ("dining table", "dining tables", "table", "tables"),
    "umbrella": ("umbrella", "umbrellas"),
}
# The word that names a class, longest first, so that "teddy bear" is not read as something else.
_NOUNS = sorted({word for words in WORDS.values() for word in words}, key=len, reverse=True)
_ORDINALS = ("first|1st", "second|2nd", "third|3rd", "fourth|4th", "fifth|5th")
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "both": 2, "2": 2}

Score = Callable[[Thing], float]


def centre(thing: Thing) -> tuple[float, float]:
    return (thing.x0 + thing.x1) / 2, (thing.y0 + thing.y1) / 2


def area(thing: Thing) -> int:
    return (thing.x1 - thing.x0) * (thing.y1 - thing.y0)


def named(word: str, things: list[Thing]) -> list[int]:
    return [i for i, thing in enumerate(things) if word in WORDS[thing.name]]


class Reading:
    """A phrase, read."""

    def __init__(self, phrase: str, things: list[Thing]) -> None:
        self.things = things
        text = f" {phrase} "
        relation = re.search(
            r"(to the left of|on the left of|left of|to the right of|on the right of|right of|above|below|"
            r"next to|beside| by|on top of| on| with) (?:the |an? )?(" + "|".join(_NOUNS) + r") $",
            text,
        )
        self.relation, self.landmark = (relation[1].strip(), relation[2]) if relation else ("", "")
        text = text[: relation.start()] + " " if relation else text
        found = next((word for word in _NOUNS if f" {word} " in text), None)
        assert found, f"no noun in {phrase!r}"
        self.noun = found
        self.rest = text.replace(f" {found} ", " ", 1)
        self.colour = next((colour for colour in PAINTS if f" {colour} " in self.rest), "")
        if "black and white" in self.rest or re.search(r" (dark|light) ", self.rest):
            self.colour = "?"

    @property
    def candidates(self) -> list[int]:
        """What noun and colour allow."""
        found = named(self.noun, self.things)
        return [i for i in found if self.colour in ("", "?") or self.things[i].paint == self.colour]

    def has(self, pattern: str) -> bool:
        return re.search(rf"\b({pattern})\b", self.rest) is not None

    def scores(self) -> list[Score]:
        """One score for each thing that the words compare."""
        among = [self.things[i] for i in self.candidates]
        place = next((n for n, words in enumerate(_ORDINALS, start=1) if self.has(words)), 0)
        side = next((side for side in ("left", "right", "top", "bottom") if self.has(rf"{side}|{side}most")), "")
        axis = 0 if side in ("left", "right") else 1
        sign = 1 if side in ("left", "top") else -1
        if place:
            ranked = sorted(among, key=lambda thing: sign * centre(thing)[axis])
            return [lambda thing: float(abs(ranked.index(thing) - place + 1))]
        scores: list[Score] = []
        for words, horizontal, factor in (
            ("left|leftmost", True, 1), ("right|rightmost", True, -1),
            ("top|topmost|upper|highest", False, 1), ("bottom|bottommost|lower|lowest", False, -1),
        ):  # fmt: skip
            if self.has(words):
                scores.append(lambda thing, h=horizontal, f=factor: f * centre(thing)[0 if h else 1])  # type: ignore[misc]
        if self.has("biggest|largest|big|large|bigger|larger"):
            scores.append(lambda thing: -area(thing))
        if self.has("smallest|small|little|tiny|smaller"):
            scores.append(area)
        if self.has("tallest"):
            scores.append(lambda thing: thing.y0 - thing.y1)
        if self.has("shortest"):
            scores.append(lambda thing: thing.y1 - thing.y0)
        if self.has("front|closest|nearest"):
            scores.append(lambda thing: -thing.y1)
        if self.has("back|furthest away"):
            scores.append(lambda thing: thing.y1)
        if self.has("middle|center|centre"):
            if len(among) == 3:
                middle = sorted(among, key=lambda thing: centre(thing)[0])[1]
                scores.append(lambda thing: min(abs(centre(thing)[0] - 160), 1000 * (thing is not middle)))
            else:
                # People mean the middle across; up and down counts a third of it.
                scores.append(
                    lambda thing: max(abs(centre(thing)[0] - 160) / 320, abs(centre(thing)[1] - 120) / 240 / 3)
                )
        return scores

    def related(self, thing: Thing) -> bool:
        """Whether one might say the relation of it, to any landmark of that name."""
        return any(_related(self.relation, thing, self.things[j]) for j in named(self.landmark, self.things))

    def inside_with(self, thing: Thing) -> bool:
        """Whether the words name a half or quarter of the picture, no more, and the thing lies wholly in it."""
        if self.has("far|very|most|furthest|highest|lowest|(left|right|top|bottom)most|" + "|".join(_ORDINALS)):
            return False
        halves = {
            "left": thing.x1 < 160, "right": thing.x0 > 160,
            "top|upper": thing.y1 < 120, "bottom|lower": thing.y0 > 120,
        }  # fmt: skip
        said = [lies for words, lies in halves.items() if self.has(words)]
        return bool(said) and all(said)

    def number(self) -> int:
        return next((number for word, number in _NUMBERS.items() if self.has(word)), 0)


def _related(relation: str, a: Thing, b: Thing) -> bool:
    across, down = centre(a)[0] - centre(b)[0], centre(a)[1] - centre(b)[1]
    gap_x, gap_y = max(a.x0 - b.x1, b.x0 - a.x1, 0), max(a.y0 - b.y1, b.y0 - a.y1, 0)
    if "left" in relation:
        return across < 0
    if "right" in relation:
        return across > 0
    if relation == "above":
        return down < 0
    if relation == "below":
        return down > 0
    near = max(gap_x, gap_y) <= max(0.8 * min(max(t.x1 - t.x0, t.y1 - t.y0) for t in (a, b)), 0.03 * 320)
    return near if relation in ("next to", "beside", "by") else max(gap_x, gap_y) <= 0.03 * 320


def wrong(phrase: str, targets: tuple[int, ...], things: list[Thing]) -> str:
    """Why the phrase is not true of its targets alone; empty if it is."""
    reading = Reading(phrase, things)
    candidates = reading.candidates
    if not set(targets) <= set(candidates):
        return f"{phrase!r}: {targets} are not all {reading.colour} {reading.noun}"
    if reading.number() and reading.number() != len(targets):
        return f"{phrase!r}: says {reading.number()}, of {len(targets)}"
    others = [i for i in candidates if i not in targets]
    if reading.relation:
        if not all(reading.related(things[i]) for i in targets):
            return f"{phrase!r}: {targets} are not so related"
        others = [i for i in others if reading.related(things[i])]
    for other in others:
        scores = reading.scores()
        if reading.colour == "?":
            continue
        if not any(max(score(things[i]) for i in targets) < score(things[other]) for score in scores):
            return f"{phrase!r}: fits {other} as well as {targets}"
        if len(candidates) > 2 and reading.inside_with(things[other]):
            return f"{phrase!r}: {other} lies there too"
    return ""


def holds_somewhere(phrase: str, things: list[Thing]) -> bool:
    """Whether a phrase that should be true of nothing might be said of something."""
    reading = Reading(phrase, things)
    candidates = [things[i] for i in reading.candidates]
    if reading.relation:
        return any(reading.related(thing) for thing in candidates)
    place = next((n for n, words in enumerate(_ORDINALS, start=1) if reading.has(words)), 0)
    if place or reading.number():
        return len(candidates) >= max(place, reading.number())
    inside = {
        "left": lambda thing: thing.x0 < 160, "right": lambda thing: thing.x1 > 160,
        "top": lambda thing: thing.y0 < 120, "bottom": lambda thing: thing.y1 > 120,
    }  # fmt: skip
    for side, test in inside.items():
        if reading.has(side):
            candidates = [thing for thing in candidates if test(thing)]
    return bool(candidates)
