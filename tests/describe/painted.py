"""Scenes of painted rectangles, so that every fact about an object is known beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from referent.data.describe.absences import absences
from referent.data.describe.facts import Scene, measure
from referent.data.describe.meanings import Meaning, Meanings
from referent.data.describe.nouns import Vocabulary
from referent.data.describe.selection import Said, select

PAINTS = {
    "red": (215, 30, 35),
    "orange": (255, 140, 0),
    "yellow": (250, 220, 30),
    "green": (40, 150, 50),
    "blue": (40, 90, 200),
    "purple": (130, 40, 150),
    "pink": (250, 150, 180),
    "brown": (115, 65, 30),
    "black": (12, 12, 12),
    "white": (250, 250, 250),
    "grey": (128, 128, 128),
}
# Of no certain colour.
MOTTLED = (150, 165, 110)
# Of several hues, so that the picture tells colours.
GROUND = ((120, 100, 150), (150, 120, 90), (100, 150, 120), (110, 140, 170))

FILE_CLASSES = ("person", "car", "truck", "dog", "cat", "bus", "teddy bear", "dining table", "cup", "zebra", "umbrella")


@dataclass(frozen=True)
class Thing:
    """A rectangle of a class: x0, y0, x1, y1 in pixels of a 320 x 240 picture."""

    name: str
    x0: int
    y0: int
    x1: int
    y1: int
    paint: str = ""
    crowd: bool = False


def scene_of(*things: Thing, size: tuple[int, int] = (240, 320)) -> Scene:
    """Later things cover earlier ones in the picture; their masks stay whole."""
    picture = np.empty((*size, 3), dtype=np.uint8)
    for band, ground in enumerate(GROUND):
        picture[band * size[0] // len(GROUND) :] = ground
    masks = []
    for thing in things:
        mask = np.zeros(size, dtype=bool)
        mask[thing.y0 : thing.y1, thing.x0 : thing.x1] = True
        picture[mask] = PAINTS.get(thing.paint, MOTTLED)
        masks.append(mask)
    names = [thing.name for thing in things]
    return measure(masks, names, range(1, len(things) + 1), [thing.crowd for thing in things], picture)


def meanings_of(
    *things: Thing, classes: tuple[str, ...] = FILE_CLASSES, regions: bool = False
) -> tuple[list[Meaning], list[Meaning]]:
    """What is there and what is not."""
    classes = tuple(sorted({*classes, *(thing.name for thing in things)}))
    meanings = Meanings(scene_of(*things), Vocabulary(classes), regions=regions)
    return list(meanings.present()), list(absences(meanings))


def said_of(
    *things: Thing, seed: int = 0, per_target: int = 60, none_share: float = 0.5, **options: object
) -> list[Said]:
    """Phrases, as many as can be drawn."""
    classes = tuple(sorted({*FILE_CLASSES, *(thing.name for thing in things)}))
    meanings = Meanings(scene_of(*things), Vocabulary(classes), **options)  # type: ignore[arg-type]
    return select(meanings, Random(seed), per_target, none_share)


def phrases_of(*things: Thing, **options: object) -> dict[str, tuple[int, ...]]:
    """Phrase -> indices of its targets, of every phrase that some seed draws."""
    return {
        said.phrase: said.targets
        for seed in range(40)
        for said in said_of(*things, seed=seed, **options)  # type: ignore[arg-type]
    }
