"""Steadier answers of models that see one frame at a time."""

from __future__ import annotations

import math
from dataclasses import replace

from referent.segmentation import Segmentation, box_of
from referent.tracking.objects import Name

_FORGOTTEN = 1e-3


class Smoothing:
    """Exponential averages over time of an object's probabilities, its score, and whether it was found.

    An object that comes, goes or jumps is followed late: by about `share / (1 - share)` frames.

    Args:
        share: of the past in every answer, in [0, 1); 0 leaves answers as they are.
        threshold: probability above which a pixel belongs to a mask.
    """

    def __init__(self, share: float, threshold: float) -> None:
        self.share, self.threshold = share, threshold
        self._past: dict[Name, tuple[Segmentation, float]] = {}

    @property
    def reach(self) -> int:
        """So many frames back an answer depends on; what is older counts for less than a thousandth."""
        return math.ceil(math.log(_FORGOTTEN, self.share)) if self.share else 0

    def __call__(self, name: Name, answer: Segmentation) -> Segmentation:
        """The answer to one frame, in the light of those before; a frame of another size starts anew."""
        found = float(answer.found)
        past = self._past.get(name)
        if self.share and past is not None and past[0].mask.shape == answer.mask.shape:
            before, found_before = past
            found = self._mixed(found_before, found)
            probability = self.share * before.probability + (1 - self.share) * answer.probability
            mask = probability > self.threshold
            meant = found >= 0.5 and bool(mask.any())
            answer = replace(
                answer,
                mask=mask,
                probability=probability,
                score=self._mixed(before.score, answer.score),
                found=meant,
                box=box_of(mask) if meant else None,
            )
        self._past[name] = answer, found
        return answer

    def _mixed(self, before: float, now: float) -> float:
        return self.share * before + (1 - self.share) * now
