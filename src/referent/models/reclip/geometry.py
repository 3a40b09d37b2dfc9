"""Boxes and the relations between them (section 3.2 of the paper).

Boxes are (n, 4) float64: x, y, width, height in pixels, as in COCO, neither rounded nor enlarged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError

Boxes = NDArray[np.float64]
Matrix = NDArray[np.float64]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """(n,) square pixels."""
    return boxes[:, 2] * boxes[:, 3]


def intersections(first: Boxes, second: Boxes) -> Matrix:
    """(n, m) square pixels that box i of `first` and box j of `second` share."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum((first[:, :2] + first[:, 2:])[:, None], (second[:, :2] + second[:, 2:])[None])
    sides = np.clip(high - low, 0, None)
    shared: Matrix = sides[..., 0] * sides[..., 1]
    return shared


def iou(first: Boxes, second: Boxes) -> Matrix:
    """(n, m) intersection over union; 0 for two boxes without area."""
    shared = intersections(first, second)
    union = areas(first)[:, None] + areas(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


class Layout:
    """The relations between the boxes of one picture, each computed once.

    Args:
        boxes: (n, 4).
        empty_boxes: the mend `ResolverSettings.empty_boxes`.
    """

    def __init__(self, boxes: Boxes, empty_boxes: bool = False) -> None:
        self.boxes = boxes
        self._empty_boxes = empty_boxes
        self._known: dict[str, Matrix] = {}

    def relation(self, kind: str) -> Matrix:
        """How true it is that box i stands in a relation to box j.

        All but "inside" are strict comparisons, so that no box stands in them to itself. "Behind" is higher up in the
        picture and "closer" is bigger.

        Args:
            kind: key of `keywords.RELATIONS`.

        Returns:
            (n, n) in [0, 1].

        Raises:
            DataError: "inside" among boxes one of which has no area.
        """
        if kind not in self._known:
            self._known[kind] = self._computed(kind)
        return self._known[kind]

    def _computed(self, kind: str) -> Matrix:
        if kind == "inside":
            return self._inside()
        # Twice the centre, added up as the official code does, so that ties are ties in both.
        low = self.boxes[:, :2]
        x, y = (low + (low + self.boxes[:, 2:])).T
        measure, sign = {
            "left": (x, -1),
            "right": (x, 1),
            "above": (y, -1),
            "below": (y, 1),
            "bigger": (areas(self.boxes), 1),
            "smaller": (areas(self.boxes), -1),
        }[kind]
        true: NDArray[np.bool_] = sign * measure[:, None] > sign * measure[None]
        return true.astype(np.float64)

    def _inside(self) -> Matrix:
        area = areas(self.boxes)[:, None]
        if not self._empty_boxes and (area == 0).any():
            empty = int(np.flatnonzero(area == 0)[0])
            raise DataError(
                f"proposal {empty}: has no area, and the official 'inside' divides by it; leave it out, or use the "
                "fixed resolver"
            )
        shared = intersections(self.boxes, self.boxes)
        matrix = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
        np.fill_diagonal(matrix, 1.0)
        return matrix
