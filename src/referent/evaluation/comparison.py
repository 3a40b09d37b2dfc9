"""One answer against its truth under several protocols, every distinct comparison made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from referent.data.sample import Overlap, Sample
from referent.evaluation.protocols import Protocol
from referent.segmentation import ExactBox, box_of

if TYPE_CHECKING:
    from referent.segmentation import Segmentation

Bools = NDArray[np.bool_]
Triple = tuple[float, float, float]
"""Pixels in both answer and truth, in either, and in the answer; areas, with fractions of pixels, where boxes are
compared."""


class Comparison:
    """One answer against the truth of its sample.

    Args:
        sample: with its truth.
        answer: of the picture's own size.
    """

    def __init__(self, sample: Sample, answer: Segmentation) -> None:
        self._sample = sample
        self._answer = answer
        self._truths: dict[tuple[Overlap, int | None], tuple[Bools, int]] = {}
        self._triples: dict[tuple[float | None, Overlap, int | None], Triple] = {}

    @property
    def present(self) -> bool:
        """Whether the phrase is true of something."""
        return self._truth("union", None)[1] > 0

    def triple(self, protocol: Protocol) -> Triple:
        """What `protocol` counts: pixels, or areas of boxes."""
        if protocol.compared == "boxes":
            return box_overlap(_box_of_answer(self._answer), boxes_of(self._sample))
        intersection, union, predicted = self._overlap(protocol)
        if self._answer.found or protocol.refusal == "ignored":
            return intersection, union, predicted
        if protocol.refusal == "missed" and self.present:
            return 0, union, 0
        return 0, self._truth(protocol.overlap, protocol.squash)[1], 0

    def _overlap(self, protocol: Protocol) -> Triple:
        key = protocol.threshold, protocol.overlap, protocol.squash
        if key not in self._triples:
            threshold = protocol.threshold
            answer = self._answer.mask if threshold is None else self._answer.probability > threshold
            if self._sample.void:
                answer = answer & self._sample.judged()
            truth, true = self._truth(protocol.overlap, protocol.squash)
            answer = squashed(answer, protocol.squash)
            both, predicted = int(np.count_nonzero(answer & truth)), int(np.count_nonzero(answer))
            self._triples[key] = both, predicted + true - both, predicted
        return self._triples[key]

    def _truth(self, overlap: Overlap, side: int | None) -> tuple[Bools, int]:
        """The truth's mask and its pixels."""
        if not any(len(parts) > 1 for parts in self._sample.polygons):
            overlap = "union"
        if (overlap, side) not in self._truths:
            mask = self._sample.mask(overlap) if side is None else squashed(self._truth(overlap, None)[0], side)
            self._truths[overlap, side] = mask, int(np.count_nonzero(mask))
        return self._truths[overlap, side]


def squashed(mask: Bools, side: int | None) -> Bools:
    """(H, W) to (side, side), whatever the proportions, each pixel the nearest one; None leaves the mask as it is."""
    if side is None:
        return mask
    rows, columns = (nearest(length, side) for length in mask.shape)
    return mask.take(rows, axis=0).take(columns, axis=1)


@lru_cache(maxsize=128)
def nearest(length: int, side: int) -> NDArray[np.intp]:
    """(side,) indices into `length` samples, those that PIL's nearest resizing takes.

    PIL adds up its step in float64. Where pixel centres fall on an edge the rounding of that sum decides: for 640 to
    480 it decides 99 columns, so that the plain formula would compare other pixels than the official code.
    """
    step = length / side
    return np.cumsum([step * 0.5] + [step] * (side - 1)).astype(np.intp)


def box_overlap(box: ExactBox | None, targets: Sequence[ExactBox]) -> Triple:
    """Areas of a box against that target's box with which its IoU is greatest; of no box where there is none."""
    x, y, width, height = box or (0, 0, 0, 0)
    predicted = width * height
    triples: list[Triple] = [(0, predicted, predicted)] if not targets else []
    for left, top, wide, high in targets:
        across = min(x + width, left + wide) - max(x, left)
        down = min(y + height, top + high) - max(y, top)
        both = max(0, across) * max(0, down)
        triples.append((both, predicted + wide * high - both, predicted))
    return max(triples, key=lambda triple: triple[0] / triple[1] if triple[1] else 0.0)


def boxes_of(sample: Sample) -> list[ExactBox]:
    """The boxes of a sample's targets: as its file says them, else around their masks."""
    from pycocotools import mask as coco_mask

    boxes: list[ExactBox] = []
    for said, target in zip(sample.boxes or [None] * len(sample.targets), sample.targets, strict=True):
        boxes.append(tuple(coco_mask.toBbox(target).tolist()) if said is None else said)
    return boxes


def _box_of_answer(answer: Segmentation) -> ExactBox | None:
    if answer.exact_box is not None:
        return answer.exact_box
    edges = answer.box or box_of(answer.mask)
    return None if edges is None else (edges[0], edges[1], edges[2] - edges[0], edges[3] - edges[1])
