"""What the user gets back: a mask with its score, and the forms in which other tools want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from referent.files import atomic_path, expanded
from referent.reference import Example, Reference
from referent.rle import encode

if TYPE_CHECKING:
    import supervision
    from PIL import Image

    from referent.reference import PictureSource

Box = tuple[int, int, int, int]
ExactBox = tuple[float, float, float, float]
"""x, y, width, height in pixels and fractions of them, as COCO's `bbox`."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One reference answered on one picture.

    Attributes:
        mask: (H, W) bool at the picture's own size: where the probability is above the model's threshold. A model
            that believes there is nothing to find may still have drawn something; ask `found`.
        probability: (H, W) float32 in [0, 1] at the picture's own size.
        box: (x0, y0, x1, y1) in pixels around the mask, x1 and y1 exclusive; None when nothing was found.
        score: in [0, 1]: the probability that the reference is true of anything in the picture where the model has
            a presence head, else the mean probability inside the mask (0 for an empty one).
        found: the score is high enough and the mask is not empty.
        reference: what was asked.
        model: name of the model that answered.
        picture: the picture that was asked about, as decoded (RGB, upright).
        notes: what the user should know about the answer, for example that the phrase was cut.
        exact_box: the box as a model of boxes gave it, not rounded; None where the answer is a mask.
        counters: what the model counts on its way to an answer, to be summed over a data set; see
            `models.reclip.statistics`.
    """

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    box: Box | None
    score: float
    found: bool
    reference: Reference
    model: str
    picture: Image.Image = field(repr=False)
    notes: tuple[str, ...] = ()
    exact_box: ExactBox | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        found = f"found at {self.box}" if self.found else "not found"
        return f"<Segmentation of {str(self.reference)!r} by {self.model}: {found}, score {self.score:.2f}>"

    def save(self, path: str | Path) -> None:
        """The mask as an 8-bit PNG, 255 inside and 0 outside. The folder must exist."""
        from PIL import Image

        save_png(Image.fromarray(self.mask.astype(np.uint8) * 255), expanded(path))

    def overlay(self) -> Image.Image:
        """The picture with the mask, the reference and the score drawn on it; see `overlay`."""
        return overlay(self.picture, [self])

    def sheet(self) -> Image.Image:
        """The examples it was asked by, each with its mask, beside the overlay; see `sheet`."""
        return sheet(self.picture, [self])

    def to_coco(self) -> dict[str, Any]:
        """A COCO result: `segmentation` (RLE with text counts), `bbox` [x, y, width, height], `area`, `score`."""
        x0, y0, x1, y1 = box_of(self.mask) or (0, 0, 0, 0)
        return {
            "segmentation": encode(self.mask),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": int(self.mask.sum()),
            "score": self.score,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels and the probability, ready for `json.dumps`: phrase, model, found, score, box,
        notes, and the mask as in `to_coco`."""
        phrase = str(self.reference.phrase) if self.reference.phrase else None
        return {
            "phrase": phrase,
            "examples": len(self.reference.examples),
            "model": self.model,
            "found": self.found,
            "box": list(self.box) if self.box else None,
            "notes": list(self.notes),
            **self.to_coco(),
        }

    def to_supervision(self) -> supervision.Detections:
        """`supervision.Detections` with one detection, or none when nothing was found. Needs the extra
        `referent[supervision]`."""
        import supervision

        if self.box is None:
            return supervision.Detections.empty()
        return supervision.Detections(
            xyxy=np.array([self.box], dtype=np.float32),
            mask=self.mask[None],
            confidence=np.array([self.score], dtype=np.float32),
            class_id=np.array([0]),
            data={"class_name": np.array([str(self.reference)])},
        )


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """(x0, y0, x1, y1) around the True pixels of (H, W), x1 and y1 exclusive; None for an empty mask."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlay(picture: PictureSource, segmentations: Sequence[Segmentation]) -> Image.Image:
    """A picture with several answers on it, each in its own colour.

    Found ones get a translucent fill, an outline and a label (reference and score); the others are named in a strip
    at the bottom.

    Args:
        picture: anything `Segmenter.segment` takes, or the `picture` of a segmentation.
        segmentations: answers about this very picture.

    Returns:
        A new RGB picture of the same size.

    Raises:
        ValueError: a segmentation of another size than the picture.
        PictureError: the picture cannot be read.
    """
    from referent.drawing import Label, draw
    from referent.picture import read_picture

    image = read_picture(picture)
    for segmentation in segmentations:
        if segmentation.mask.shape != (image.height, image.width):
            raise ValueError(
                f"overlay: the picture is {image.width} x {image.height}, the mask of {str(segmentation.reference)!r} "
                f"{segmentation.mask.shape[1]} x {segmentation.mask.shape[0]}"
            )
    found = [
        (Label(label_of(item.reference), f"  {item.score:.2f}"), item.mask, item.box)
        for item in segmentations
        if item.box
    ]
    missing = [
        Label(label_of(item.reference), f": not found ({item.score:.2f})") for item in segmentations if not item.box
    ]
    return draw(image, found, missing)


def sheet(picture: PictureSource, segmentations: Sequence[Segmentation]) -> Image.Image:
    """What was shown beside what was found: every example with its mask on the left, the `overlay` on the right.

    Args:
        picture, segmentations: as in `overlay`.

    Raises:
        ValueError: as `overlay`.
        PictureError, BadReferenceError: an example can no longer be read.
    """
    from referent.drawing import beside

    examples = dict.fromkeys(example for item in segmentations for example in item.reference.examples)
    return beside([drawn_example(example) for example in examples], overlay(picture, segmentations))


def drawn_example(example: Example) -> Image.Image:
    """An example's picture with its mask on it.

    Raises:
        PictureError, BadReferenceError: see `picture.read_example`.
    """
    from referent.drawing import Label, draw
    from referent.picture import read_example

    image, mask = read_example(example)
    box = box_of(mask)
    return draw(image, [(Label("example", ""), mask, box)] if box else [])


def label_of(reference: Reference) -> str:
    """A reference in a few words: the phrase, and by their number or file name the examples."""
    parts = [" ".join(str(reference.phrase).split())] if reference.phrase else []
    if len(reference.examples) == 1:
        source = reference.examples[0].picture
        parts.append(f"example {Path(source).name}" if isinstance(source, (str, Path)) else "an example")
    elif reference.examples:
        parts.append(f"{len(reference.examples)} examples")
    return " + ".join(parts)


def save_png(image: Image.Image, path: Path) -> None:
    """`image` as PNG at `path`, all of it or nothing."""
    with atomic_path(path) as temporary:
        # A fifth of the default level's time for a sixth more bytes.
        image.save(temporary, format="PNG", compress_level=1)
