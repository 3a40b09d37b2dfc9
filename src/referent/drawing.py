"""Drawing answers on a picture: translucent masks, outlines, and labels that keep off each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]

# Bright, far apart in hue, and told apart by most colour-blind people when neighbours in this order.
COLOURS: tuple[Colour, ...] = (
    (230, 57, 70),
    (29, 132, 219),
    (255, 183, 3),
    (46, 170, 90),
    (150, 80, 200),
    (240, 120, 30),
    (0, 180, 190),
    (235, 90, 170),
    (140, 180, 20),
    (120, 85, 60),
)
FILL = 0.42
# A label wider than this share of the picture hides too much of it.
WIDEST = 0.6
STRIP = (30, 30, 30)
LIGHT = (255, 255, 255)


@dataclass(frozen=True)
class Label:
    """What stands beside a mask.

    Attributes:
        text: cut with an ellipsis where it is too long.
        end: always shown: the score.
    """

    text: str
    end: str


def draw(
    picture: Image.Image,
    found: Sequence[tuple[Label, NDArray[np.bool_], Box]],
    missing: Sequence[Label] = (),
    colours: Sequence[int] | None = None,
) -> Image.Image:
    """A new RGB picture with every (label, mask (H, W), box) of `found` on it and the lines of `missing` below.

    Colours are those of `COLOURS` that `colours` counts, or the first in order; after the last one they start again.
    """
    image = picture.convert("RGB").copy()
    thickness = max(1, round(max(picture.size) / 300))
    colours = range(len(found)) if colours is None else colours
    for index, (_, mask, box) in zip(colours, found, strict=True):
        _paint(image, mask, box, _colour(index), thickness)
    size = min(max(11, round(max(picture.size) / 42)), max(6, picture.height // 4))
    labels = _Labels(image, size)
    for index, (label, mask, box) in zip(colours, found, strict=True):
        labels.beside(label, mask, box, _colour(index))
    for label in reversed(missing):
        labels.at_bottom(label, STRIP)
    return image


def beside(panels: Sequence[Image.Image], answer: Image.Image) -> Image.Image:
    """`panels` in rows, together as high as `answer`, and `answer` on their right; without any `answer` alone."""
    if not panels:
        return answer
    left = in_rows(panels, answer.height)
    page = Image.new("RGB", (left.width + _gap(answer.height) + answer.width, answer.height), LIGHT)
    page.paste(left, (0, 0))
    page.paste(answer, (page.width - answer.width, 0))
    return page


def in_rows(panels: Sequence[Image.Image], height: int) -> Image.Image:
    """Pictures, at least one, made small enough to stand in a few rows of `height` pixels together."""
    gap = _gap(height)
    rows = round(len(panels) ** 0.5)
    columns = -(-len(panels) // rows)
    high = max(1, (height - gap * (rows - 1)) // rows)
    small = [ImageOps.contain(panel, (2 * high, high)) for panel in panels]
    lines = [small[start : start + columns] for start in range(0, len(small), columns)]
    width = max(sum(panel.width + gap for panel in line) for line in lines) - gap
    page = Image.new("RGB", (width, height), LIGHT)
    for row, line in enumerate(lines):
        right = width + gap
        for panel in reversed(line):
            right -= panel.width + gap
            page.paste(panel, (right, row * (high + gap)))
    return page


def _gap(height: int) -> int:
    return max(2, height // 60)


def shortened(text: str, end: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text` and `end` in `width` pixels: `text` cut with an ellipsis where it is too long, `end` always whole."""
    line, keep = text + end, len(text)
    while keep and font.getlength(line) > width:
        keep -= 1
        line = text[:keep].rstrip() + "…" + end
    return line


def _colour(index: int) -> Colour:
    return COLOURS[index % len(COLOURS)]


def _paint(image: Image.Image, mask: NDArray[np.bool_], box: Box, colour: Colour, thickness: int) -> None:
    """Fill and outline one mask in place, touching only the pixels around its box."""
    height, width = mask.shape
    margin = thickness + max(1, thickness // 2)
    x0, y0 = max(box[0] - margin, 0), max(box[1] - margin, 0)
    inside = mask[y0 : min(box[3] + margin, height), x0 : min(box[2] + margin, width)]
    line = _grown(inside, thickness)
    # A light line around the coloured one keeps the outline visible on pixels of its own colour.
    halo = _grown(line, margin - thickness)
    for where, ink, opacity in ((inside, colour, FILL), (line & ~inside, colour, 1.0), (halo & ~line, LIGHT, 1.0)):
        image.paste(ink, (x0, y0), Image.fromarray(where.astype(np.uint8) * round(255 * opacity)))


def _grown(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """The mask and everything within `radius` pixels of it along either axis, in a logarithmic number of passes."""
    grown = mask.copy()
    for lines in (grown, grown.T):
        reached = 0
        while reached < radius:
            step = min(radius - reached, reached + 1)
            before = lines.copy()
            lines[step:] |= before[:-step]
            lines[:-step] |= before[step:]
            reached += step
    return grown


class _Labels:
    """Labels on one picture: each inside the picture and, where there is room, off the others."""

    def __init__(self, image: Image.Image, size: int) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)
        self.font = ImageFont.load_default(size)
        self.padding = max(1, size // 4)
        self.taken: list[Box] = []

    def beside(self, label: Label, mask: NDArray[np.bool_], box: Box, colour: Colour) -> None:
        """A label near its mask: above the mask's top, inside it, or below it, the first place that is free."""
        text, width, height = self._fitted(label, self.image.width * WIDEST)
        # A box may be looser than its mask.
        top = np.flatnonzero(mask[box[1]])
        corners = [
            (int(top[0]) if len(top) else box[0], box[1] - height - self.padding),
            (box[0], box[1] - height - self.padding),
            (box[0], box[1]),
            (box[0], box[3] + self.padding),
            ((box[0] + box[2] - width) // 2, (box[1] + box[3] - height) // 2),
            *((box[0], y) for y in range(0, self.image.height - height, height + 1)),
        ]
        places = [self._inside(corner, width, height) for corner in corners]
        self._write(text, next((place for place in places if not self._hit(place)), places[0]), colour)

    def at_bottom(self, label: Label, colour: Colour) -> None:
        """A label at the lower left, above those that stand there already."""
        text, width, height = self._fitted(label, self.image.width)
        places = [self._inside((0, y), width, height) for y in range(self.image.height - height, -height, -height)]
        self._write(text, next((place for place in places if not self._hit(place)), places[0]), colour)

    def _fitted(self, label: Label, widest: float) -> tuple[str, int, int]:
        """The whole text, cut to `widest` pixels, and the label's size."""
        text = shortened(label.text, label.end, widest - 2 * self.padding, self.font)
        ascent, descent = self.font.getmetrics() if isinstance(self.font, ImageFont.FreeTypeFont) else (11, 0)
        return text, round(self.font.getlength(text)) + 2 * self.padding, ascent + descent + self.padding

    def _inside(self, corner: tuple[int, int], width: int, height: int) -> Box:
        x = max(0, min(corner[0], self.image.width - width))
        y = max(0, min(corner[1], self.image.height - height))
        return x, y, x + width, y + height

    def _hit(self, place: Box) -> bool:
        return any(
            place[0] < other[2] and other[0] < place[2] and place[1] < other[3] and other[1] < place[3]
            for other in self.taken
        )

    def _write(self, text: str, place: Box, colour: Colour) -> None:
        self.taken.append(place)
        self.pen.rounded_rectangle((place[0], place[1], place[2] - 1, place[3] - 1), radius=self.padding, fill=colour)
        luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
        ink = (0, 0, 0) if luminance > 150 else (255, 255, 255)
        self.pen.text((place[0] + self.padding, place[1] + self.padding // 2), text, fill=ink, font=self.font)
