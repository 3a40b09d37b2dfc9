"""The loss of CRIS, which is also that of ETRIS, and two of ours; the dice loss serves MagNet and UniRef++ too."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def mask_losses(logits: Tensor, presence_logits: Tensor | None, target: Tensor | None) -> dict[str, Tensor]:
    """Every loss of this file by its name; `presence` only where there are logits for it.

    Args:
        logits: (N, 1, h, w) of the masks.
        presence_logits: (N,) or None.
        target: (N, 1, H, W) in [0, 1]; shrunk to the logits' size by nearest neighbour, as in the official code.

    Raises:
        ValueError: there is no target.
    """
    if target is None:
        raise ValueError("losses need batch.target")
    logits = logits.float()
    shrunk = F.interpolate(target, logits.shape[-2:], mode="nearest")
    named = {"text_to_pixel": text_to_pixel(logits, shrunk), "dice": dice(logits, shrunk)}
    if presence_logits is not None:
        named["presence"] = presence(presence_logits.float(), target)
    return named


def text_to_pixel(logits: Tensor, target: Tensor) -> Tensor:
    """CRIS's text-to-pixel contrastive loss: mean binary cross-entropy over all pixels (its section 3.5).

    Args:
        logits: (N, 1, h, w).
        target: (N, 1, h, w) in [0, 1], soft edges allowed.
    """
    return F.binary_cross_entropy_with_logits(logits, target)


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft dice, meant over masks and references; with an empty target it asks for an empty mask.

    Args:
        logits: (N, M, h, w), M masks for one target.
        target: (N, 1, h, w) in [0, 1].
    """
    return dice_of_each(logits, target).mean()


def dice_of_each(logits: Tensor, target: Tensor) -> Tensor:
    """1 - soft dice of each mask, with one pixel of smoothing.

    Args:
        logits: (..., h, w).
        target: (..., h, w) in [0, 1]; leading dimensions are broadcast.

    Returns:
        (...) without the last two dimensions.
    """
    probability, wanted = logits.sigmoid().flatten(-2), target.flatten(-2)
    overlap = (probability * wanted).sum(-1)
    return 1 - (2 * overlap + 1) / (probability.sum(-1) + wanted.sum(-1) + 1)


def presence(presence_logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of "there is something" against the target being non-empty.

    Args:
        presence_logits: (N,).
        target: (N, 1, H, W).
    """
    there = (target.flatten(1).amax(1) > 0).to(presence_logits.dtype)
    return F.binary_cross_entropy_with_logits(presence_logits, there)
