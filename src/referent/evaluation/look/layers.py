"""Small pictures for the page: the photograph, and transparent layers with answer and truth to lie on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.drawing import Colour
from referent.evaluation.worst import AGREED, MISSED, MISTAKEN
from referent.files import atomic_path

Bools = NDArray[np.bool_]

SIDE = 640
"""The longer side of a picture on the page, in pixels at most."""
QUALITY = 80
ANSWER: Colour = (255, 138, 0)
TRUTH: Colour = (0, 190, 220)
FILL, STRIPE, LINE = 90, 150, 255
STRIPES = 12


def thumbnail(picture: Image.Image) -> Image.Image:
    """The picture with its longer side no longer than `SIDE`."""
    return picture.resize(small_size(picture.size), Image.Resampling.LANCZOS, reducing_gap=3.0)


def small_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the thumbnail of a picture of that (width, height); small pictures keep theirs."""
    scale = min(1.0, SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def compared(answer: Bools, truth: Bools) -> Image.Image:
    """Answer against truth as a transparent layer: right plain, missed and mistaken striped, either in its own way.

    Args:
        answer, truth: (H, W) of one shape.
    """
    answer, truth = _small(answer), _small(truth)
    rows, columns = np.indices(answer.shape)
    layer = np.zeros((*answer.shape, 4), dtype=np.uint8)
    plain = np.zeros(answer.shape, dtype=bool)
    _paint(layer, answer & truth, AGREED, plain)
    _paint(layer, truth & ~answer, MISSED, np.asarray((rows - columns) % STRIPES < STRIPES // 3))
    _paint(layer, answer & ~truth, MISTAKEN, np.asarray((rows + columns) % STRIPES < STRIPES // 3))
    return Image.fromarray(layer)


def single(mask: Bools, colour: Colour) -> Image.Image:
    """One (H, W) mask as a transparent layer."""
    mask = _small(mask)
    layer = np.zeros((*mask.shape, 4), dtype=np.uint8)
    _paint(layer, mask, colour, np.zeros(mask.shape, dtype=bool))
    return Image.fromarray(layer)


def save_photograph(image: Image.Image, path: Path) -> None:
    """An RGB picture as WebP, without what a camera wrote about place and time."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="WEBP", quality=QUALITY, method=2)


def save_layer(image: Image.Image, path: Path) -> None:
    """An RGBA picture as WebP, pixel by pixel."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="WEBP", lossless=True, quality=40, method=2)


def _small(mask: Bools) -> Bools:
    size = small_size((mask.shape[1], mask.shape[0]))
    if size == (mask.shape[1], mask.shape[0]):
        return mask
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    small: Bools = np.asarray(grey) > 127
    # What is smaller than a pixel of the page is shown all the same.
    return small if small.any() or not mask.any() else np.asarray(grey) > 0


def _paint(layer: NDArray[np.uint8], mask: Bools, colour: Colour, stripes: Bools) -> None:
    layer[mask] = (*colour, FILL)
    layer[mask & stripes] = (*colour, STRIPE)
    layer[mask & ~_inner(mask)] = (*colour, LINE)


def _inner(mask: Bools) -> Bools:
    """The pixels with two more of the mask on every side; beyond the picture there is none."""
    inner = np.pad(mask, 1)
    for _ in range(2):
        for axis in (0, 1):
            inner = inner & np.roll(inner, 1, axis) & np.roll(inner, -1, axis)
    return inner[1:-1, 1:-1]
