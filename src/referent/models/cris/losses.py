"""CRIS's loss, and two of ours."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def text_to_pixel(logits: Tensor, target: Tensor) -> Tensor:
    """The paper's text-to-pixel contrastive loss, which is mean binary cross-entropy over all pixels (section 3.5).

    Args:
        logits: (N, 1, h, w).
        target: (N, 1, h, w) in [0, 1], soft edges allowed.
    """
    return F.binary_cross_entropy_with_logits(logits, target)


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft dice, meant over references; with an empty target it asks for an empty mask.

    Args:
        logits: (N, 1, h, w).
        target: (N, 1, h, w) in [0, 1].
    """
    probability = logits.sigmoid().flatten(1)
    wanted = target.flatten(1)
    overlap = (probability * wanted).sum(1)
    return (1 - (2 * overlap + 1) / (probability.sum(1) + wanted.sum(1) + 1)).mean()


def presence(presence_logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of "there is something" against the target being non-empty.

    Args:
        presence_logits: (N,).
        target: (N, 1, H, W).
    """
    there = (target.flatten(1).amax(1) > 0).to(presence_logits.dtype)
    return F.binary_cross_entropy_with_logits(presence_logits, there)
