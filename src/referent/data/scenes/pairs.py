"""Pairs of texts and pairs of pictures of which one is right: ReCLIP's experiment on spatial relations.

The paper (table 1) asks on CLEVR whether CLIP tells "left of" from "right of". Here as there every scene shows two
things, and every type of scene (which two colours and shapes) is used once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from random import Random
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.relations import OPPOSITE, RELATIONS, Relation
from referent.data.scenes.sampling import arrange
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import trace
from referent.data.scenes.world import COLOURS, MATERIALS, SHAPES, SIZES, Colour, Look, Scene, Shape

Task = Literal["text, spatial", "text, non-spatial", "picture, spatial", "picture, non-spatial"]
TASKS: tuple[Task, ...] = ("text, spatial", "text, non-spatial", "picture, spatial", "picture, non-spatial")
"""What must be chosen, the text or the picture, and what tells right from wrong: a relation, or the things."""

Kind: TypeAlias = tuple[Colour, Shape]
KINDS: tuple[Kind, ...] = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
TYPES: tuple[tuple[Kind, Kind], ...] = tuple(combinations(KINDS, 2))
"""All scenes of two unlike things, whatever their sizes and materials."""

SIZE = (320, 480)
"""Of CLEVR's pictures, height and width."""
_WORDS: dict[Relation, str] = {
    "left": "to the left of",
    "right": "to the right of",
    "front": "in front of",
    "behind": "behind",
}


@dataclass(frozen=True)
class Question:
    """Two combinations of a picture and a text, of which the first fits and the second does not.

    Attributes:
        task: the two have one picture ("text, ...") or one text ("picture, ...").
        right, wrong: number of the picture, and the text.
        relation: that decides; None where things do.
    """

    task: Task
    right: tuple[int, str]
    wrong: tuple[int, str]
    relation: Relation | None = None


@dataclass(frozen=True, eq=False)
class PairExample:
    """A type of scene with its questions, one of every task.

    Attributes:
        scenes: two things; the same two in the opposite relation; two things of another type.
        pictures: of the scenes, uint8 (H, W, 3).
        questions: in the order of `TASKS`.
    """

    scenes: tuple[Scene, ...]
    pictures: tuple[NDArray[np.uint8], ...]
    questions: tuple[Question, ...]


def pair_examples(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Iterator[PairExample]:
    """Examples of the first `count` types in an order by chance; each is decided by the seed and its type alone.

    Args:
        count: from 1 to `len(TYPES)`.
        seed: of the order and of everything in the pictures.
        size: (height, width) of the pictures.
    """
    for kinds in Random(f"pairs {seed}").sample(TYPES, count):
        yield _example(kinds, Random(f"pairs {seed} {kinds}"), size)


def _example(kinds: tuple[Kind, Kind], random: Random, size: tuple[int, int]) -> PairExample:
    looks = _looks(kinds, random)
    relation = random.choice(RELATIONS)
    subject, landmark = random.sample((0, 1), 2)

    scenes = (
        arrange(looks, random, size, [(subject, relation, landmark)]),
        arrange(looks, random, size, [(subject, OPPOSITE[relation], landmark)]),
        arrange(_looks(random.choice([other for other in TYPES if other != kinds]), random), random, size),
    )
    said = {way: f"{_a(kinds[subject])} {_WORDS[way]} {_a(kinds[landmark])}." for way in (relation, OPPOSITE[relation])}
    kept, replaced = kinds[subject], random.choice([kind for kind in KINDS if kind not in kinds])
    both = f"{_a(kept)} and {_a(kinds[landmark])}"
    right = 0, said[relation]
    questions = (
        Question("text, spatial", right, (0, said[OPPOSITE[relation]]), relation),
        Question("text, non-spatial", (0, both), (0, f"{_a(kept)} and {_a(replaced)}")),
        Question("picture, spatial", right, (1, said[relation]), relation),
        Question("picture, non-spatial", (0, both), (2, both)),
    )
    return PairExample(scenes, tuple(paint(trace(scene, size)) for scene in scenes), questions)


def _looks(kinds: tuple[Kind, Kind], random: Random) -> list[Look]:
    return [Look(shape, colour, random.choice(SIZES), random.choice(MATERIALS)) for colour, shape in kinds]


def _a(kind: Kind) -> str:
    return f"a {kind[0]} {kind[1]}"
