"""What can be said of the things of a clip: how they look, and how they move."""

from __future__ import annotations

from random import Random

from referent.data.describe.wording import draw
from referent.data.scenes.clips import Clip, Way
from referent.data.scenes.meanings import Description, descriptions
from referent.data.scenes.wording import Said, named

_MOTIONS: dict[str, tuple[frozenset[Way], frozenset[Way], tuple[tuple[str, float], ...]]] = {
    "still": (frozenset({"still"}), frozenset(), (("that does not move", 2), ("that stays where it is", 1))),
    "moving": (
        frozenset({"left", "right", "nearer", "away", "returns", "enters"}),
        frozenset(),
        (("that moves", 2), ("that is moving", 1)),
    ),
    "left": (
        frozenset({"left"}),
        frozenset({"returns", "enters"}),
        (("that moves to the left", 2), ("moving left", 2), ("that goes from right to left", 1)),
    ),
    "right": (
        frozenset({"right"}),
        frozenset({"returns", "enters"}),
        (("that moves to the right", 2), ("moving right", 2), ("that goes from left to right", 1)),
    ),
    "nearer": (frozenset({"nearer"}), frozenset(), (("that comes closer", 2), ("that moves to the front", 1))),
    "away": (frozenset({"away"}), frozenset(), (("that moves away", 2), ("that moves to the back", 1))),
    "returns": (
        frozenset({"returns"}),
        frozenset(),
        (("that leaves the picture and comes back", 2), ("that leaves and returns", 1)),
    ),
    "enters": (frozenset({"enters"}), frozenset({"returns"}), (("that comes into the picture", 2), ("that enters", 1))),
}
"""For each motion: the ways of moving that it is true of, those of which one may doubt, and its wordings."""

EASE = 0.5
"""How much less readily each further adjective is said."""


def say_of_clip(clip: Clip, random: Random, per_thing: int = 3) -> list[Said]:
    """Phrases, each true of one thing of the clip alone; none for a thing that cannot be told from its like.

    Args:
        clip: what moves.
        random: decides what is said, and how.
        per_thing: at most this many phrases for a thing.
    """
    choices: list[list[tuple[tuple[Description, str], float]]] = [[] for _ in clip.ways]
    for subject, fitting in descriptions(clip.looks):
        ease = EASE**subject.adjectives * (1.0 if subject.shape else EASE)
        if len(fitting) == 1:
            choices[fitting[0]].append(((subject, ""), ease))
            continue
        for motion, (true, unsure, _) in _MOTIONS.items():
            moving = [index for index in fitting if clip.ways[index] in true]
            if len(moving) == 1 and not any(clip.ways[index] in unsure for index in fitting):
                choices[moving[0]].append(((subject, motion), ease))
    said: dict[str, Said] = {}
    for index, own in enumerate(choices):
        for _ in range(min(per_thing, len(own))):
            subject, motion = draw(own, random)
            own = [choice for choice in own if choice[0] != (subject, motion)]
            text = f"the {named(subject, random)}" + (f" {draw(_MOTIONS[motion][2], random)}" if motion else "")
            said.setdefault(text, Said(text, (index,), "motion" if motion else "attribute"))
    return list(said.values())
