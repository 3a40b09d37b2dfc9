"""A picture of what a model answers at a validation: picture, target and prediction side by side, the phrase below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from referent.drawing import shortened

CELL = 240
GAP = 6
CAPTION = 22
INK = (20, 20, 20)
PAPER = (255, 255, 255)
TARGET = (46, 170, 90)
PREDICTION = (230, 57, 70)
FILL = 0.5


@dataclass(frozen=True)
class Example:
    """One row of the gallery.

    Attributes:
        picture: RGB.
        target: (H, W) bool.
        prediction: (H, W) bool.
        phrase: what was asked.
        score: the model's own, in [0, 1].
    """

    picture: Image.Image
    target: NDArray[np.bool_]
    prediction: NDArray[np.bool_]
    phrase: str
    score: float


def gallery(examples: Sequence[Example], columns: int = 2) -> Image.Image:
    """An RGB picture with one block (picture, target in green, prediction in red, caption) for each example."""
    columns = min(columns, max(1, len(examples)))
    rows = -(-len(examples) // columns)
    width, height = 3 * CELL + 4 * GAP, CELL + CAPTION + GAP
    sheet = Image.new("RGB", (columns * width, rows * height + GAP), PAPER)
    for index, example in enumerate(examples):
        row, column = divmod(index, columns)
        sheet.paste(_block(example, width, height), (column * width, row * height + GAP))
    return sheet


def _block(example: Example, width: int, height: int) -> Image.Image:
    block = Image.new("RGB", (width, height), PAPER)
    cells = (
        _cell(example.picture, None, PAPER),
        _cell(example.picture, example.target, TARGET),
        _cell(example.picture, example.prediction, PREDICTION),
    )
    for index, cell in enumerate(cells):
        left = GAP + index * (CELL + GAP)
        block.paste(cell, (left + (CELL - cell.width) // 2, (CELL - cell.height) // 2))
    overlap = int((example.target & example.prediction).sum())
    union = int((example.target | example.prediction).sum())
    iou = f"IoU {overlap / union:.2f}" if union else "both empty"
    font = ImageFont.load_default(14)
    line = shortened(example.phrase, f"   {iou}   score {example.score:.2f}", width - 2 * GAP, font)
    ImageDraw.Draw(block).text((GAP, CELL + 2), line, fill=INK, font=font)
    return block


def _cell(picture: Image.Image, mask: NDArray[np.bool_] | None, colour: tuple[int, int, int]) -> Image.Image:
    scale = CELL / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    small = picture.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    if mask is None:
        return small
    covered = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    tint = Image.blend(small, Image.new("RGB", size, colour), FILL)
    return Image.composite(tint, small, covered)
