"""An explanation as a picture: proposals on the photograph, the tree, and a bar a proposal after each step."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from referent.drawing import COLOURS, Colour, shortened
from referent.grounding.explanation import Explanation
from referent.grounding.segmenter import whole_pixels

PAPER, INK, FAINT = (255, 255, 255), (20, 20, 20), (225, 225, 225)
# In pixels, for a photograph as wide as `WIDTH`; smaller and larger ones are scaled to it.
WIDTH = 1000
MARGIN = 16
TEXT = 18
LINE = 26
LABELS = 420


def draw_explanation(photograph: Image.Image, explanation: Explanation) -> Image.Image:
    """A new RGB picture, 1000 pixels wide: the photograph with the proposals that are shown, numbered, and below it the
    expression, the tree and the steps.

    The answer's box is drawn thicker. Numbers on the boxes are the whole expression's probabilities, from isolated
    proposal scoring alone.
    """
    scale = WIDTH / photograph.width
    upper = photograph.resize((WIDTH, max(1, round(photograph.height * scale))))
    heads = [f"“{explanation.expression}”", explanation.model]
    rows = len(heads) + len(explanation.tree) + len(explanation.rows) + 1
    sheet = Image.new("RGB", (WIDTH, upper.height + rows * LINE + 4 * MARGIN), PAPER)
    sheet.paste(upper)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(TEXT)
    for index in explanation.shown:
        _box(pen, font, explanation, index, scale, photograph.size)
    top = upper.height + MARGIN
    for line in heads:
        pen.text((MARGIN, top), shortened(line, "", WIDTH - 2 * MARGIN, font), fill=INK, font=font)
        top += LINE
    top += MARGIN
    for line in explanation.tree:
        _indented(pen, font, line, top, WIDTH - 2 * MARGIN)
        top += LINE
    _steps(pen, font, explanation, top + MARGIN)
    return sheet


def _colours(explanation: Explanation) -> dict[int, Colour]:
    """One a proposal that is shown, no two alike: there are more colours than `SHOWN`."""
    return dict(zip(explanation.shown, COLOURS, strict=False))


def _box(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    explanation: Explanation,
    index: int,
    scale: float,
    size: tuple[int, int],
) -> None:
    x0, y0, x1, y1 = (round(edge * scale) for edge in whole_pixels(explanation.boxes[index], size))
    colour, best = _colours(explanation)[index], index == explanation.resolution.best
    pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=6 if best else 2)
    label = f" {index}  {explanation.resolution.expression[index]:.2f} "
    corner = (min(x0, WIDTH - round(font.getlength(label))), y0)
    pen.rectangle((corner[0], y0, corner[0] + round(font.getlength(label)), y0 + LINE), fill=colour)
    pen.text(corner, label, fill=PAPER, font=font)


def _steps(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    explanation: Explanation,
    top: int,
) -> None:
    """One row a step; in each cell a bar as long as the proposal's share, and the share in per cent."""
    cell = (WIDTH - LABELS - 2 * MARGIN) // len(explanation.shown)
    lefts = {index: LABELS + MARGIN + place * cell for place, index in enumerate(explanation.shown)}
    colours = _colours(explanation)
    for index, left in lefts.items():
        pen.text((left, top), f"{index}", fill=colours[index], font=font)
    for told, probabilities in explanation.rows:
        top += LINE
        _indented(pen, font, told, top, LABELS - MARGIN)
        total = float(probabilities.sum())
        for index, left in lefts.items():
            pen.rectangle((left, top + 2, left + cell - 6, top + LINE - 4), fill=FAINT)
            part = float(probabilities[index]) / total if total > 0 else math.nan
            if part > 0:
                pen.rectangle((left, top + 2, left + round((cell - 6) * part), top + LINE - 4), fill=colours[index])
            text = "-" if math.isnan(part) else f"{100 * part:.0f}"
            pen.text((left + 3, top + 1), text, fill=INK, font=font)


def _indented(
    pen: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    line: str,
    top: int,
    width: int,
) -> None:
    # A proportional font's space is too thin to show depth.
    depth = len(line) - len(line.lstrip())
    left = MARGIN + 12 * depth
    pen.text((left, top), shortened(line.lstrip(), "", width - 12 * depth, font), fill=INK, font=font)
