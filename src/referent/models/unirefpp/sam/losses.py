"""The losses of UniFusion inside SAM, as in LISA (Lai et al., CVPR 2024), whose code the authors followed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

_SCALE, _EPS = 1000, 1e-6
"""By which LISA divides areas in its dice, and what it adds above and below."""


def mask_losses(logits: Tensor, target: Tensor | None) -> dict[str, Tensor]:
    """`mask_bce`, the mean over pixels and references, and `dice`, the mean over references.

    Args:
        logits: (N, 1, H, W).
        target: (N, 1, H, W) in [0, 1].

    Raises:
        ValueError: there is no target.
    """
    if target is None:
        raise ValueError("losses need batch.target")
    logits = logits.float()
    probability, wanted = logits.sigmoid().flatten(1), target.flatten(1)
    overlap = (probability * wanted).sum(1) / _SCALE
    areas = (probability.sum(1) + wanted.sum(1)) / _SCALE
    return {
        "mask_bce": F.binary_cross_entropy_with_logits(logits, target),
        "dice": (1 - (2 * overlap + _EPS) / (areas + _EPS)).mean(),
    }
