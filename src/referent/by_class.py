"""All class names asked of one picture: a class of every pixel, boxes with classes, or the picture's own class.

Pixels and the picture's class are answered by every segmenter, boxes by a model with a box head
(`SegmentationModel.gives_boxes`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from referent.asking import AnyLook
from referent.errors import ReferentError
from referent.layers.suppression import non_maximum_suppression
from referent.reference import Reference
from referent.segmentation import save_png
from referent.segmenter import Look

if TYPE_CHECKING:
    from PIL import Image

# FCOS's and RetinaNet's: boxes below this score are not looked at, boxes of one class that overlap more are one, and
# COCO counts the best hundred of a picture.
LEAST_SCORE, SAME_OBJECT, MOST_BOXES = 0.05, 0.6, 100


@dataclass(frozen=True, eq=False)
class ClassMap:
    """A class for every pixel.

    Attributes:
        labels: (H, W) int32: 0 for background, k for `names[k - 1]`.
        names: the classes that were asked.
        picture: that was asked about, as decoded.
    """

    labels: NDArray[np.int32]
    names: tuple[str, ...]
    picture: Image.Image

    def save(self, path: str | Path) -> None:
        """The labels as a grey PNG, of 8 bits a pixel up to 255 classes, else of 16. The folder must exist."""
        from PIL import Image

        depth = np.uint8 if len(self.names) < 256 else np.uint16
        save_png(Image.fromarray(self.labels.astype(depth)), Path(path))

    def overlay(self) -> Image.Image:
        """The picture with every class that is in it in a colour of its own."""
        from referent.drawing import Label, draw
        from referent.segmentation import box_of

        there = [(name, self.labels == number) for number, name in enumerate(self.names, 1)]
        found = [(Label(name, ""), mask, box) for name, mask in there if (box := box_of(mask)) is not None]
        return draw(self.picture, found, [])


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        name: its class.
        box: x0, y0, x1, y1 in pixels of the picture.
        score: in [0, 1].
    """

    name: str
    box: tuple[float, float, float, float]
    score: float


def class_map(look: AnyLook, names: Sequence[str], background: float | None = None) -> ClassMap:
    """The most probable class of every pixel.

    Args:
        look: of one picture (`AnySegmenter.look_at`).
        names: classes, as phrases.
        background: a pixel where no class is more probable than this is background; the model's own threshold of a mask
            when None. So is every pixel of a class that the model says is not in the picture.
    """
    picture = look.pictures[0]
    threshold = look.threshold if background is None else background
    labels = np.zeros((picture.height, picture.width), dtype=np.int32)
    best = np.full(labels.shape, threshold, dtype=np.float32)
    answers = look.answers([(0, Reference.of(name)) for name in names])
    for number, answer in enumerate(answers, 1):
        if answer.found:
            better = answer.probability > best
            labels[better] = number
            best[better] = answer.probability[better]
    return ClassMap(labels, tuple(names), picture)


def detect(look: AnyLook, names: Sequence[str], least: float = LEAST_SCORE) -> list[Detection]:
    """Objects of these classes, best first, at most `MOST_BOXES`.

    Args:
        look: of one picture.
        names: classes, as phrases.
        least: no box has a lower score.

    Raises:
        ReferentError: the model gives no boxes.
    """
    if not gives_boxes(look):
        raise ReferentError(f"{look.name} gives no boxes of single objects; one trained with a box head does")
    assert isinstance(look, Look)
    found: list[Detection] = []
    numbered = iter(names)
    for output in look.outputs(names):
        assert output.boxes is not None
        for corners, scores in zip(output.boxes.corners, output.boxes.probability, strict=True):
            name = next(numbered)
            good = scores > least
            boxes = look.restored_boxes(corners[good]).numpy()
            found += [
                Detection(name, (x0, y0, x1, y1), score)
                for (x0, y0, x1, y1), score in _told_apart(boxes, scores[good].cpu().numpy())
            ]
    return sorted(found, key=lambda item: -item.score)[:MOST_BOXES]


def classify(look: AnyLook, names: Sequence[str]) -> NDArray[np.float32]:
    """How likely each of the names is the picture's own: (len(names),) in [0, 1].

    From a model with a label head, probabilities that add up to 1; from any other its score of each name.
    """
    if isinstance(look, Look) and look.model.gives_labels:
        logits = torch.cat([output.label for output in look.outputs(names) if output.label is not None])
        probabilities: NDArray[np.float32] = logits.float().softmax(0).cpu().numpy()
        return probabilities
    return np.array([answer.score for answer in look.segment(list(names))], dtype=np.float32)


def gives_boxes(look: AnyLook) -> bool:
    """Whether `detect` can be asked."""
    return isinstance(look, Look) and look.model.gives_boxes


def _told_apart(
    boxes: NDArray[np.float32], scores: NDArray[np.float32]
) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes (n, 4) of one class, best first, without those that overlap a better one."""
    order = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    order = order[area[order] > 0]
    boxes, scores, area = boxes[order], scores[order], area[order]

    def overlapping(row: int) -> NDArray[np.bool_]:
        low = np.maximum(boxes[row, :2], boxes[:, :2])
        both = (np.minimum(boxes[row, 2:], boxes[:, 2:]) - low).clip(min=0).prod(1)
        same: NDArray[np.bool_] = both / (area[row] + area - both) > SAME_OBJECT
        return same

    kept = non_maximum_suppression(len(boxes), overlapping, MOST_BOXES)
    return [(tuple(boxes[row].tolist()), float(scores[row])) for row in kept]
