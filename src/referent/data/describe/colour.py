"""The colour of pixels, and how much of an object has it.

Colours are read in Oklab (Ottosson 2020), whose hue stays put when lightness changes. Every 5-bit RGB value gets at
most one colour that it surely has and a set of colours that somebody might call it, and likewise for dark and light;
between neighbours lies a band that is surely nothing, so that what is between red and orange is never said to be
either, nor said not to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from referent.data.describe.truth import Flags, Numbers

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
SHADES = ("dark", "light")
MEASURED = COLOURS + SHADES
_BITS = 5
# Between the largest and the smallest of a pixel's three bytes, in a picture without colours.
MONOCHROME_SPREAD = 14
# A picture is under coloured light if this share of its pixels have at least this chroma, and of those this share lie
# within so many degrees of one hue.
TINT_CHROMA, TINTED_SHARE, ONE_HUE_SHARE, TINT_HUES = 0.03, 0.75, 0.97, 40


@dataclass(frozen=True)
class Range:
    """A block of Oklab: lightness and chroma limits (0..1, 0..0.4) and of hue (degrees, may pass 360)."""

    lightness: tuple[float, float]
    chroma: tuple[float, float]
    hue: tuple[float, float] = (0.0, 360.0)

    def holds(self, lightness: Numbers, chroma: Numbers, hue: Numbers) -> Flags:
        """Where the three arrays lie inside."""
        start, width = self.hue[0], self.hue[1] - self.hue[0]
        inside: Flags = (
            (lightness >= self.lightness[0])
            & (lightness <= self.lightness[1])
            & (chroma >= self.chroma[0])
            & (chroma <= self.chroma[1])
            & ((hue - start) % 360 <= width)
        )
        return inside


# colour: (surely, perhaps)
_RANGES: dict[str, tuple[Range, Range]] = {
    "red": (Range((0.30, 0.68), (0.13, 0.40), (10, 36)), Range((0.20, 0.76), (0.06, 0.40), (-15, 50))),
    "orange": (Range((0.60, 0.85), (0.12, 0.40), (48, 76)), Range((0.45, 0.92), (0.05, 0.40), (32, 92))),
    "yellow": (Range((0.72, 1.00), (0.12, 0.40), (92, 112)), Range((0.55, 1.00), (0.04, 0.40), (74, 124))),
    "green": (Range((0.25, 0.95), (0.06, 0.40), (128, 162)), Range((0.12, 1.00), (0.02, 0.40), (105, 200))),
    "blue": (Range((0.22, 0.90), (0.055, 0.40), (232, 272)), Range((0.10, 1.00), (0.015, 0.40), (185, 292))),
    "purple": (Range((0.22, 0.80), (0.07, 0.40), (298, 330)), Range((0.12, 0.92), (0.02, 0.40), (275, 355))),
    "pink": (Range((0.66, 0.92), (0.07, 0.40), (-20, 16)), Range((0.50, 0.98), (0.025, 0.40), (-45, 45))),
    "brown": (Range((0.28, 0.55), (0.045, 0.14), (38, 78)), Range((0.15, 0.80), (0.015, 0.20), (15, 105))),
    "black": (Range((0.00, 0.27), (0.00, 0.035)), Range((0.00, 0.42), (0.00, 0.08))),
    "white": (Range((0.86, 1.00), (0.00, 0.03)), Range((0.62, 1.00), (0.00, 0.085))),
    "grey": (Range((0.42, 0.66), (0.00, 0.02)), Range((0.25, 0.90), (0.00, 0.045))),
    "dark": (Range((0.00, 0.38), (0.00, 0.06)), Range((0.00, 0.55), (0.00, 0.40))),
    "light": (Range((0.78, 1.00), (0.00, 0.06)), Range((0.62, 1.00), (0.00, 0.40))),
}


def oklab(rgb: NDArray[np.uint8]) -> tuple[Numbers, Numbers, Numbers]:
    """(..., 3) sRGB bytes to lightness (0..1), chroma (0..about 0.4) and hue (degrees, 0..360)."""
    value = rgb.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    cones = np.cbrt(
        linear
        @ np.array(
            [
                [0.4122214708, 0.2119034982, 0.0883024619],
                [0.5363325363, 0.6806995451, 0.2817188376],
                [0.0514459929, 0.1073969566, 0.6299787005],
            ]
        )
    )
    lab = cones @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
    return lab[..., 0], np.hypot(lab[..., 1], lab[..., 2]), np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360


@cache
def _lookup() -> tuple[Flags, Flags]:
    """For each of the 32^3 coarse RGB values: which of MEASURED it surely, perhaps has; (32^3, 13) each."""
    steps = (np.arange(1 << _BITS) << (8 - _BITS)) + (1 << (7 - _BITS))
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.uint8)
    parts = oklab(grid)
    return (
        np.stack([_RANGES[name][0].holds(*parts) for name in MEASURED], axis=-1),
        np.stack([_RANGES[name][1].holds(*parts) for name in MEASURED], axis=-1),
    )


def coarse(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(H, W, 3) uint8 to (H, W) indices of coarse RGB values, as `shares` reads them."""
    reduced = picture.astype(np.int64) >> (8 - _BITS)
    index: NDArray[np.int64] = (reduced[..., 0] << (2 * _BITS)) | (reduced[..., 1] << _BITS) | reduced[..., 2]
    return index


def tells_colours(picture: NDArray[np.uint8]) -> bool:
    """Whether the colours of a (H, W, 3) picture are those of the things in it.

    They are not in a black and white picture, nor where nearly everything is of one hue: under warm lamps a white
    shirt is yellow.
    """
    sample = picture[::4, ::4].reshape(-1, 3)
    spread = sample.max(axis=1).astype(np.int16) - sample.min(axis=1)
    if np.quantile(spread, 0.98) <= MONOCHROME_SPREAD:
        return False
    _, chroma, hue = oklab(sample)
    tinted = hue[chroma > TINT_CHROMA]
    if len(tinted) < TINTED_SHARE * len(sample):
        return True
    middle = np.angle(np.exp(1j * np.radians(tinted)).mean(), deg=True)
    away = np.abs((tinted - middle + 180) % 360 - 180)
    return bool((away <= TINT_HUES).mean() < ONE_HUE_SHARE)


def shares(pixels: NDArray[np.int64]) -> tuple[Numbers, Numbers]:
    """Of (n,) coarse pixels the shares, 0..1, that surely are, and perhaps are, each of MEASURED: two (13,).

    Without pixels nothing is known: no share is sure and every share may be whole.
    """
    if len(pixels) == 0:
        return np.zeros(len(MEASURED)), np.ones(len(MEASURED))
    sure, perhaps = _lookup()
    counts = np.bincount(pixels)
    values = np.flatnonzero(counts)
    weights = counts[values] / len(pixels)
    return weights @ sure[values], weights @ perhaps[values]
