"""Isolated proposals: one picture each, on which little but the proposal is to be seen (section 3.1 of the paper)."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from PIL import Image, ImageFilter

from referent.models.reclip.geometry import Boxes

Kind = Literal["crop", "blur", "shade"]
BLUR_SIGMA = 100
SHADE = (240, 0, 30, 127)
"""Colour and opacity of CPT's shading, as the official code adapts it: "... is in red color"."""


class Isolation:
    """The proposals of one picture, isolated one at a time; what they share is made once.

    Args:
        picture: RGB.
        boxes: (n, 4) x, y, width, height in pixels; each touches the picture. Parts outside it are cut off.
        sigma: of the Gaussian around the proposal, in pixels; Pillow's approximation of it (three box filters a
            direction, each rounded to 8 bit), which repeats the picture's edge.
    """

    def __init__(self, picture: Image.Image, boxes: Boxes, sigma: int = BLUR_SIGMA) -> None:
        self.picture, self.sigma = picture, sigma
        self.edges = [_edges(box, picture.size) for box in boxes.tolist()]

    def __call__(self, index: int, kind: Kind) -> Image.Image:
        """One proposal.

        "crop" is the box alone, its edges rounded half to even; "blur" and "shade" are the whole picture, outside the
        box blurred, or inside the box tinted, where the box's edges are cut to whole pixels that all belong to it.
        """
        match kind:
            case "crop":
                return self._crop(index)
            case "blur":
                return self._blur(index)
            case "shade":
                return self._shade(index)

    @cached_property
    def blurred(self) -> Image.Image:
        """The whole picture, blurred."""
        return self.picture.filter(ImageFilter.GaussianBlur(self.sigma))

    @cached_property
    def shaded(self) -> Image.Image:
        """The whole picture, shaded."""
        overlay = Image.new("RGBA", self.picture.size, SHADE)
        return Image.alpha_composite(self.picture.convert("RGBA"), overlay).convert("RGB")

    def prepare(self, kind: Kind) -> None:
        """Makes what all proposals share, so that several threads can isolate without making it twice."""
        if kind == "blur":
            _ = self.blurred
        elif kind == "shade":
            _ = self.shaded

    def _crop(self, index: int) -> Image.Image:
        left, top, right, bottom = (round(edge) for edge in self.edges[index])
        # A sliver that rounds to nothing keeps the pixel it lies in; the official code fails on it.
        if right == left:
            left = min(int(self.edges[index][0]), self.picture.width - 1)
            right = left + 1
        if bottom == top:
            top = min(int(self.edges[index][1]), self.picture.height - 1)
            bottom = top + 1
        return self.picture.crop((left, top, right, bottom))

    def _blur(self, index: int) -> Image.Image:
        inside = self._whole_pixels(index)
        image = self.blurred.copy()
        image.paste(self.picture.crop(inside), inside[:2])
        return image

    def _shade(self, index: int) -> Image.Image:
        inside = self._whole_pixels(index)
        image = self.picture.copy()
        image.paste(self.shaded.crop(inside), inside[:2])
        return image

    def _whole_pixels(self, index: int) -> tuple[int, int, int, int]:
        left, top, right, bottom = (int(edge) for edge in self.edges[index])
        return left, top, min(right + 1, self.picture.width), min(bottom + 1, self.picture.height)


def _edges(box: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of x, y, width, height, inside the picture."""
    x, y, width, height = box
    return max(x, 0), max(y, 0), min(x + width, size[0]), min(y + height, size[1])
