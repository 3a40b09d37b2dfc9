"""One picture of the worst answers: where people look first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from referent.data.sample import Dataset
from referent.drawing import shortened
from referent.segmentation import save_png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from referent.asking import AnySegmenter
    from referent.evaluation.result import Result

COLUMNS = 4
SIDE = 300
CAPTION = 34
# Agreement green, missed blue, drawn by mistake red: the three differ in lightness too.
AGREED, MISSED, MISTAKEN = (60, 200, 90), (40, 90, 255), (255, 40, 40)
LEGEND = "green: right   blue: missed   red: drawn by mistake"


def draw_worst(segmenter: AnySegmenter, dataset: Dataset, result: Result, path: Path) -> None:
    """`result.worst` as a grid in a PNG; each of those few phrases is asked once more.

    Args:
        segmenter, dataset: those of the result.
        result: of `evaluate`.
        path: of the PNG; its folder must exist.

    Raises:
        OSError: the file cannot be written.
    """
    samples = {sample.id: sample for sample in dataset.samples}
    tiles = []
    for case in result.worst:
        sample = samples[case.id]
        answer = segmenter.look_at(sample.picture).segment([sample.reference])[0]
        compared = _compared(np.asarray(answer.picture), answer.mask, sample.mask())
        found = "" if answer.found else ", not found"
        tiles.append(_tile(compared, case.phrase, f"IoU {100 * case.iou:.0f} %, score {answer.score:.2f}{found}"))
    rows = max(1, -(-len(tiles) // COLUMNS))
    grid = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + CAPTION) + 20), "white")
    for index, tile in enumerate(tiles):
        grid.paste(tile, (index % COLUMNS * SIDE, index // COLUMNS * (SIDE + CAPTION)))
    last = LEGEND if tiles else "no mistakes: every IoU is 1"
    ImageDraw.Draw(grid).text((6, grid.height - 17), last, fill="black", font=ImageFont.load_default(12))
    save_png(grid, path)


def _compared(pixels: NDArray[np.uint8], answer: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Image.Image:
    """The picture, greyed, with answer against truth in colour."""
    grey = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.6 + pixels * 0.4
    for mask, colour in ((answer & truth, AGREED), (truth & ~answer, MISSED), (answer & ~truth, MISTAKEN)):
        grey[mask] = grey[mask] * 0.5 + np.array(colour) * 0.5
    return Image.fromarray(grey.astype(np.uint8))


def _tile(picture: Image.Image, phrase: str, line: str) -> Image.Image:
    picture.thumbnail((SIDE - 6, SIDE - 6))
    tile = Image.new("RGB", (SIDE, SIDE + CAPTION), "white")
    tile.paste(picture, ((SIDE - picture.width) // 2, SIDE - picture.height - 2))
    font, pen = ImageFont.load_default(13), ImageDraw.Draw(tile)
    for row, text in enumerate((phrase, line)):
        pen.text((4, SIDE + row * 16), shortened(text, "", SIDE - 8, font), fill="black", font=font)
    return tile
