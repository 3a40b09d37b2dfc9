"""Augmentations that keep a phrase true: a mirrored "left" becomes "right", and what names a place is never cropped."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from pydantic import BaseModel, ConfigDict, Field

Mask = NDArray[np.bool_]

_SIDES = re.compile(r"\b(left|right)(?=(?:most|ward|wards|hand)?\b)", re.IGNORECASE)
# Words whose truth hangs on where things are, how many there are, or how large they are beside each other.
_LAYOUT = re.compile(
    r"\b(left|right|top|bottom|upper|lower|middle|center|centre|central|corner|edge|side|first|second|third|fourth|fifth|"
    r"last|\d+(st|nd|rd|th)|far|near|nearest|closest|front|behind|back|above|below|under|over|next|beside|between|"
    r"\w+most|\w+est|on|two|three|four|five|both)\b",
    re.IGNORECASE,
)
_CANVAS = (123, 117, 104)


def mirrored(phrase: str) -> str:
    """The phrase that is true of the mirrored picture: left and right change places, letter case kept."""

    def swap(match: re.Match[str]) -> str:
        word = match.group()
        other = "right" if word.lower() == "left" else "left"
        return other.upper() if word.isupper() else other.capitalize() if word[0].isupper() else other

    return _SIDES.sub(swap, phrase)


def depends_on_layout(phrase: str) -> bool:
    """Whether cutting a part of the picture away could change what the phrase points at."""
    return _LAYOUT.search(phrase) is not None


class Augment(BaseModel):
    """Random changes of one picture, its masks and its phrases, all driven by one generator.

    Args:
        flip: probability of a mirror image (phrases are mirrored too).
        crop: smallest share of each side that a crop keeps; 1 = never crop. Skipped when a phrase depends on layout.
        zoom_out: largest factor by which the canvas grows around the picture; 1 = never.
        affine: largest change of a side, as a share of it, by turning, stretching, shearing and moving; 0 = never. It
            takes no care of what phrases say, and is for videos made of pictures.
        colour: largest relative change of brightness, contrast and saturation; hue is left alone, phrases name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: float = Field(0.5, ge=0, le=1)
    crop: float = Field(0.7, gt=0, le=1)
    zoom_out: float = Field(1.4, ge=1)
    affine: float = Field(0.0, ge=0, lt=0.5)
    colour: float = Field(0.25, ge=0, lt=1)

    def __call__(
        self, picture: Image.Image, masks: Sequence[Mask], phrases: Sequence[str], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Mask], list[str]]:
        """A changed picture (RGB) with masks (h, w) bool of its new size and phrases that are true of them."""
        masks, phrases = list(masks), list(phrases)
        if rng.random() < self.flip:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            masks = [mask[:, ::-1] for mask in masks]
            phrases = [mirrored(phrase) for phrase in phrases]
        if self.crop < 1 and rng.random() < 0.5 and not any(map(depends_on_layout, phrases)):
            picture, masks = self._crop(picture, masks, rng)
        elif self.zoom_out > 1 and rng.random() < 0.5:
            picture, masks = self._zoom_out(picture, masks, rng)
        if self.affine:
            picture, masks = self._distort(picture, masks, rng)
        return self._recolour(picture, rng), [np.ascontiguousarray(mask) for mask in masks], phrases

    def fit(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """As `MultiScale.fit`: it draws no size, every picture is prepared in the same."""
        return None

    def settled(self, rng: np.random.Generator) -> Augment:
        """The same with the mirror image decided, for several pictures that must agree in it."""
        return self.model_copy(update={"flip": float(rng.random() < self.flip)})

    def _crop(
        self, picture: Image.Image, masks: list[Mask], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Mask]]:
        width, height = (max(1, round(side * rng.uniform(self.crop, 1))) for side in picture.size)
        left, top = int(rng.integers(picture.width - width + 1)), int(rng.integers(picture.height - height + 1))
        box = (left, top, left + width, top + height)
        return picture.crop(box), [mask[top : top + height, left : left + width] for mask in masks]

    def _zoom_out(
        self, picture: Image.Image, masks: list[Mask], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Mask]]:
        factor = rng.uniform(1, self.zoom_out)
        width, height = round(picture.width * factor), round(picture.height * factor)
        left, top = int(rng.integers(width - picture.width + 1)), int(rng.integers(height - picture.height + 1))
        canvas = Image.new("RGB", (width, height), _CANVAS)
        canvas.paste(picture, (left, top))
        space = ((top, height - top - picture.height), (left, width - left - picture.width))
        return canvas, [np.pad(mask, space) for mask in masks]

    def _distort(
        self, picture: Image.Image, masks: list[Mask], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Mask]]:
        (a, b), (d, e) = np.eye(2) + rng.uniform(-self.affine, self.affine, (2, 2))
        size = np.array(picture.size)
        # The middle of the picture moves by the shift; PIL asks where each new pixel comes from.
        c, f = size / 2 - np.array([[a, b], [d, e]]) @ (size / 2) + rng.uniform(-self.affine, self.affine, 2) * size
        ways = (float(a), float(b), float(c), float(d), float(e), float(f))
        changed = picture.transform(
            picture.size, Image.Transform.AFFINE, ways, Image.Resampling.BILINEAR, fillcolor=_CANVAS
        )
        moved = [Image.fromarray(mask).transform(picture.size, Image.Transform.AFFINE, ways) for mask in masks]
        return changed, [np.asarray(mask) for mask in moved]

    def _recolour(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = enhance(picture).enhance(rng.uniform(1 - self.colour, 1 + self.colour))
        return picture
