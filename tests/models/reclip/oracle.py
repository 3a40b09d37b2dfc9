"""The official trees and runs, the boxes they were made on, and the stand-in for CLIP that scored them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.models.reclip.resolver import Resolution, Resolver
from referent.models.reclip.settings import ResolverSettings
from referent.parsing.precomputed import parse_from_json
from referent.parsing.types import Parse

FOLDER = Path(__file__).parents[2] / "parity" / "reclip"
BOX_SETS: dict[str, tuple[list[tuple[float, ...]], tuple[int, int]]] = {
    "A": (
        [(10, 20, 100, 200), (300.5, 40.25, 150, 220.5), (320, 60, 60, 80), (500, 300, 120, 150), (15, 250, 90, 180)],
        (480, 640),
    ),
    "B": ([(50, 60, 120, 300), (400, 80, 100, 220)], (480, 640)),
    "C": ([(50, 60, 120, 300)], (480, 640)),
    "D": ([(0, 0, 50, 50), (0, 50, 50, 50), (100, 0, 0, 40), (120, 10, 60, 60)], (100, 200)),
}


def records(name: str) -> list[dict[str, Any]]:
    """The lines of a file of the parity folder."""
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


TREES = {record["id"]: record for record in records("reclip_trees.jsonl")}
RUNS = records("reclip_exec.jsonl")


def parse_of(name: str) -> Parse:
    """The parse of an official tree by its id."""
    return parse_from_json(TREES[name])


def scorer(boxes: list[tuple[float, ...]]) -> Callable[[str], NDArray[np.float32]]:
    """A score in [-3, 3] that follows from text and box alone."""

    def score(text: str) -> NDArray[np.float32]:
        keys = [f"{text}|{','.join(f'{side:.2f}' for side in box)}" for box in boxes]
        shares = [int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 2**32 for key in keys]
        return np.array([6 * share - 3 for share in shares], dtype=np.float32)

    return score


def resolver(box_set: str, settings: ResolverSettings) -> Resolver:
    """The resolver of one of the box sets."""
    boxes, size = BOX_SETS[box_set]
    return Resolver(np.array(boxes, dtype=np.float64), size, settings)


def resolve(name: str, box_set: str = "A", **settings: Any) -> Resolution:
    """A parse of the oracle, resolved on one of the box sets."""
    return resolver(box_set, ResolverSettings(**settings)).resolve(parse_of(name), scorer(BOX_SETS[box_set][0]))
