"""Examples as JSON: our lines (one phrase each), and all that is known about a scene."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.examples import Example
from referent.data.scenes.relations import RELATIONS, relations
from referent.data.scenes.world import Thing
from referent.rle import encode

DIGITS = 6
"""Decimals of places and angles."""


def file_name(index: int) -> str:
    """Of the picture, in its folder."""
    return f"{index:06d}.png"


def phrase_records(example: Example) -> Iterator[dict[str, Any]]:
    """What `referent.data.jsonl` reads, a record a phrase."""
    masks = [encode(mask) for mask in example.seen.masks]
    for number, said in enumerate(example.said):
        yield {
            "id": f"{example.index}-{number}",
            "image": f"images/{file_name(example.index)}",
            "split": example.split,
            "phrase": said.phrase,
            **({"rle": [masks[target] for target in said.targets]} if said.targets else {"mask": None}),
            "tags": {"kind": said.kind} | ({"why": said.why} if said.why else {}),
        }


def scene_record(example: Example) -> dict[str, Any]:
    """Everything known about a scene.

    `box` is [x0, y0, x1, y1] in pixels around `mask`, what is seen of a thing; `full` is its mask had it been alone,
    `visible` the share of it that is seen. `relations["left"][i]` lists the things left of thing i, as CLEVR does.
    """
    seen = example.seen
    scene, visible = seen.scene, seen.visible()
    held = relations(scene)
    return {
        "image": f"images/{file_name(example.index)}",
        "split": example.split,
        "height": seen.size[0],
        "width": seen.size[1],
        "camera": {
            "position": _rounded(scene.camera.position),
            "right_up_forward": [_rounded(axis) for axis in scene.camera.axes],
            "focal": round(scene.camera.focal * min(seen.size), DIGITS),
        },
        "lamp": _rounded(np.array(scene.lamp)),
        "things": [
            _thing_record(thing, seen.masks[index])
            | {"full": encode(seen.full[index]), "visible": round(float(visible[index]), DIGITS)}
            for index, thing in enumerate(scene.things)
        ],
        "relations": {
            name: [np.flatnonzero(held[name][:, index]).tolist() for index in range(len(scene.things))]
            for name in RELATIONS
        },
    }


def box_of(mask: NDArray[np.bool_]) -> list[int]:
    """[x0, y0, x1, y1] around a mask that is not empty; the last column and row lie inside."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def _thing_record(thing: Thing, mask: NDArray[np.bool_]) -> dict[str, Any]:
    look = thing.look
    return {
        "shape": look.shape,
        "colour": look.colour,
        "size": look.size,
        "material": look.material,
        "centre": _rounded(np.array(thing.centre)),
        "turn": round(thing.turn, DIGITS),
        "box": box_of(mask),
        "mask": encode(mask),
    }


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), DIGITS) for value in values]
