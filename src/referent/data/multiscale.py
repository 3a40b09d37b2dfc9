"""UniRef++'s augmentation: a mirror image, perhaps a crop, and a size that every visit draws anew (DETR's, in the end).

The size is drawn here and reached in the preparation, so that a picture is resized only once after its crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from referent.data.augment import Mask, mirrored
from referent.data.shortest import Shortest

_Side = Annotated[int, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]

# A crop that cuts a target away is drawn anew so many times, then left.
_TRIES = 5
# Substrings, as in the official code: "seconds" counts too. Other words about places it does not look for.
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_ANY_LENGTH = 10**6


@dataclass(frozen=True)
class Way:
    """What becomes of one picture and all that is marked on it: mirrored, resized, cut, in this order.

    Attributes:
        original: (height, width) of the picture.
        mirrored: or not.
        resized: (height, width) before the cut.
        window: left, top, right, bottom of the cut in pixels of the resized picture.
    """

    original: tuple[int, int]
    mirrored: bool
    resized: tuple[int, int]
    window: tuple[int, int, int, int]

    def picture(self, picture: Image.Image) -> Image.Image:
        """The changed picture; resized bilinearly."""
        if self.mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.resized != self.original:
            picture = picture.resize(self.resized[::-1], Image.Resampling.BILINEAR)
        return picture.crop(self.window)

    def mask(self, mask: Mask) -> Mask:
        """A mask (H, W) on it, changed alike; resized to the nearest."""
        if self.mirrored:
            mask = mask[:, ::-1]
        if self.resized != self.original:
            image = Image.fromarray(np.ascontiguousarray(mask))
            mask = np.asarray(image.resize(self.resized[::-1], Image.Resampling.NEAREST))
        left, top, right, bottom = self.window
        return np.ascontiguousarray(mask[top:bottom, left:right])

    def boxes(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """(T, 4) boxes x0, y0, x1, y1 in pixels of the picture, changed alike; one outside the window has no area."""
        left, top, right, bottom = corners.T
        if self.mirrored:
            left, right = self.original[1] - right, self.original[1] - left
        factors = np.array([self.resized[1] / self.original[1], self.resized[0] / self.original[0]] * 2)
        moved = np.stack((left, top, right, bottom), axis=1) * factors - np.array([*self.window[:2]] * 2)
        width, height = self.window[2] - self.window[0], self.window[3] - self.window[1]
        inside: NDArray[np.float64] = moved.clip(0, np.array([width, height] * 2))
        return inside


class MultiScale(BaseModel):
    """Settings.

    Args:
        sizes: of the shortest side, one of which every visit draws.
        longest: which the longest side may not pass.
        flip: probability of a mirror image (phrases are mirrored too).
        crop: probability of a crop, unless a phrase counts by an ordinal number.
        before: sizes of the shortest side, one of which is drawn and reached before a crop; empty: none.
        window: fewest and most pixels of a crop's sides, each drawn by itself; a shorter side is kept whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: tuple[_Side, ...] = Field(min_length=1)
    longest: int = Field(gt=0)
    flip: _Share = 0.5
    crop: _Share = 0.5
    before: tuple[_Side, ...] = (400, 500, 600)
    window: tuple[_Side, _Side] = (384, 600)

    def __call__(
        self, picture: Image.Image, masks: Sequence[Mask], phrases: Sequence[str], rng: np.random.Generator
    ) -> tuple[Image.Image, list[Mask], list[str]]:
        """As `Augment`; every mask keeps a part of what it has."""
        original = (picture.height, picture.width)
        way = self.way(original, phrases, rng)
        changed = [way.mask(mask) for mask in masks]
        for number in range(_TRIES):
            if all(left.any() or not mask.any() for left, mask in zip(changed, masks, strict=True)):
                break
            last = number == _TRIES - 1
            way = Way(original, way.mirrored, *(_whole(original) if last else self._cut(original, rng)))
            changed = [way.mask(mask) for mask in masks]
        said = [mirrored(phrase) for phrase in phrases] if way.mirrored else list(phrases)
        return way.picture(picture), changed, said

    def way(self, size: tuple[int, int], phrases: Sequence[str], rng: np.random.Generator) -> Way:
        """What becomes of a picture of (height, width) and these phrases about it, whatever is marked there."""
        flip = bool(rng.random() < self.flip)
        counted = any(word in phrase.lower() for phrase in phrases for word in _ORDINALS)
        cut = rng.random() < self.crop and not counted
        return Way(size, flip, *(self._cut(size, rng) if cut else _whole(size)))

    def fit(self, rng: np.random.Generator) -> tuple[int, int]:
        """The shortest side of this visit, and the bound of the longest."""
        return int(rng.choice(self.sizes)), self.longest

    def settled(self, rng: np.random.Generator) -> MultiScale:
        """The same with mirror image, size, and whether to crop decided, for several pictures that must agree there."""
        return self.model_copy(
            update={
                "sizes": (int(rng.choice(self.sizes)),),
                "flip": float(rng.random() < self.flip),
                "crop": float(rng.random() < self.crop),
            }
        )

    def _cut(
        self, size: tuple[int, int], rng: np.random.Generator
    ) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
        """(height, width) before the cut, and the window."""
        resized = Shortest(size, int(rng.choice(self.before)), _ANY_LENGTH).fitted if self.before else size
        low, high = self.window
        height, width = (int(rng.integers(min(side, low), min(side, high) + 1)) for side in resized)
        top, left = int(rng.integers(resized[0] - height + 1)), int(rng.integers(resized[1] - width + 1))
        return resized, (left, top, left + width, top + height)


def _whole(size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int, int, int]]:
    height, width = size
    return size, (0, 0, width, height)
