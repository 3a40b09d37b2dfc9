"""Named, versioned ways to turn predictions into numbers.

Published scores differ in threshold, in what counts as reaching an IoU, and in which mean is printed, so they are not
comparable with each other; a number of this project always stands beside the protocol that made it. Every protocol
starts from the same predictions (a probability map at the picture's own size, a score, `found`), so that one pass of
the model is scored under several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError

PRECISION_AT = (0.5, 0.6, 0.7, 0.8, 0.9)
"""The IoUs of Pr@X in every published table."""


@dataclass(frozen=True)
class Protocol:
    """How a prediction is cut out, compared and averaged. Two results compare only under an equal protocol.

    Attributes:
        name: what `--protocol` takes.
        version: raised whenever the same predictions would get another number.
        threshold: a pixel belongs to the answer when its probability is greater; None for the model's own threshold.
        heeds_found: an answer that the model itself calls not found counts as empty.
        compared_at: the size at which answer and truth are compared; "original" is the picture's own.
        epsilon: added to the union before dividing.
        both_empty: IoU where neither answer nor truth has a pixel.
        strict: Pr@X counts IoU > X; otherwise IoU >= X.
        precision_at: the X of Pr@X.
        headline: the numbers to quote.
        source: where these rules are written.
    """

    name: str
    version: int
    threshold: float | None
    heeds_found: bool
    epsilon: float
    both_empty: float
    strict: bool
    headline: tuple[str, ...]
    source: str
    compared_at: Literal["original"] = "original"
    precision_at: tuple[float, ...] = PRECISION_AT

    def iou(self, intersection: NDArray[np.int64], union: NDArray[np.int64]) -> NDArray[np.float64]:
        """IoU of N comparisons.

        Args:
            intersection: (N,) pixels in both answer and truth.
            union: (N,) pixels in either.
        """
        below = union + self.epsilon
        ratio = np.divide(intersection, below, out=np.zeros(len(union)), where=below > 0)
        return np.where(union == 0, self.both_empty, ratio)

    def reached(self, iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """(N,) bool: which IoUs count for Pr@threshold."""
        return iou > threshold if self.strict else iou >= threshold


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="referent",
            version=1,
            threshold=None,
            heeds_found=True,
            epsilon=0.0,
            both_empty=1.0,
            strict=False,
            headline=("oIoU", "mIoU"),
            source="docs/evaluate.md",
        ),
        # Tells the quality of masks from the decision that there is something to find.
        Protocol(
            name="referent-masks",
            version=1,
            threshold=None,
            heeds_found=False,
            epsilon=0.0,
            both_empty=1.0,
            strict=False,
            headline=("oIoU", "mIoU"),
            source="docs/evaluate.md",
        ),
        # The authors confirm that their "IoU" is the mean over sentences (issue 12 of their repository).
        Protocol(
            name="cris",
            version=1,
            threshold=0.35,
            heeds_found=False,
            epsilon=1e-6,
            both_empty=0.0,
            strict=True,
            headline=("mIoU",),
            source="CRIS.pytorch, engine.inference: probability > 0.35, IoU = inter / (union + 1e-6), Pr@X: IoU > X",
        ),
    )
}


def find(names: Iterable[str]) -> tuple[Protocol, ...]:
    """The protocols of these names, in order, each once.

    Raises:
        DataError: an unknown name, or none at all.
    """
    found = []
    for name in dict.fromkeys(names):
        if name not in PROTOCOLS:
            raise DataError(f"protocol: expected one of {', '.join(PROTOCOLS)}, found {name!r}")
        found.append(PROTOCOLS[name])
    if not found:
        raise DataError(f"protocol: expected at least one of {', '.join(PROTOCOLS)}, found none")
    return tuple(found)
