"""A model that remembers colours: it finds the pixels of the references' colour, or of the one that a phrase names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from referent.models.base import Batch, Output, SegmentationModel, Studied
from referent.preparation import Preparation
from referent.segmenter import Segmenter

SIDE = 32
COLOURS = {"red": (240, 20, 20), "green": (20, 240, 20), "blue": (20, 20, 240)}
PREPARATION = Preparation.model_validate(
    {
        "size": SIDE,
        "longest": 2 * SIDE,
        "fit": "shortest",
        "mean": (0, 0, 0),
        "std": (1, 1, 1),
        "context_length": 8,
        "threshold": 0.5,
        "tokenizer": "clip",
    }
)


@cache
def colours_by_token() -> dict[int, Tensor]:
    tokens = PREPARATION.tokens(list(COLOURS))[:, 1].tolist()
    return {token: torch.tensor(colour) / 255 for token, colour in zip(tokens, COLOURS.values(), strict=True)}


class ColourMemory(SegmentationModel):
    """An example is the mean colour under its mask; what is nearer than a sixth to any of the references is it."""

    reference_kinds = frozenset({"phrase", "example"})

    def __init__(self) -> None:
        super().__init__()
        self.looks, self.asked, self.references, self.presence = 0, list[int](), 0, True

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        self.looks += 1
        return (image.clone(),)

    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        return ((image * mask).sum((-2, -1)) / mask.sum((-2, -1)),)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        self.asked.append(len(batch.tokens))
        wanted: list[list[Tensor]] = [[] for _ in batch.tokens]
        named = colours_by_token()
        for row, tokens in enumerate(batch.tokens):
            for token, colour in named.items():
                if (tokens == token).any():
                    wanted[row].append(colour)
        if isinstance(batch.examples, Studied):
            for (colour,), row in zip(batch.examples.features, batch.examples.reference.tolist(), strict=True):
                wanted[row].append(colour[0])
        self.references = sum(map(len, wanted))
        distances = [
            torch.stack([(sight[0][0] - colour[:, None, None]).abs().amax(0) for colour in colours]).amin(0)
            for colours in wanted
        ]
        logits = (1 / 6 - torch.stack(distances)[:, None]) * 60
        return Output(logits, logits.amax((1, 2, 3)) if self.presence else None)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        raise NotImplementedError


def segmenter() -> Segmenter:
    return Segmenter(ColourMemory(), PREPARATION, "colour-memory", device="cpu")


Square = tuple[str, int, int]


def frame_of(*squares: Square, side: int = SIDE, length: int = 8) -> NDArray[np.uint8]:
    """(side, side, 3): grey, with squares of (colour, x, y)."""
    pixels = np.full((side, side, 3), 110, dtype=np.uint8)
    for colour, x, y in squares:
        pixels[y : y + length, x : x + length] = COLOURS[colour]
    return pixels


def mask_of(x: int, y: int, side: int = SIDE, length: int = 8) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), dtype=bool)
    mask[y : y + length, x : x + length] = True
    return mask


def moving(frames: int, *colours: str) -> Iterator[NDArray[np.uint8]]:
    """Squares that move to the right, a pixel a frame, one below the other."""
    for index in range(frames):
        yield frame_of(*((colour, 2 + index, 2 + 10 * row) for row, colour in enumerate(colours)))
