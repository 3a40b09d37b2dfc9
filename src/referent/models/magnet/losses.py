"""MagNet's mask losses and its cross-modal alignment loss (section 3.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.models.magnet.config import AlignmentLossConfig


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy, mean over pixels, masks and references.

    Args:
        logits: (N, M, H, W), M masks for one target.
        target: (N, 1, H, W) in [0, 1].
    """
    return F.binary_cross_entropy_with_logits(logits, target.expand_as(logits))


def alignment(pixels: Tensor, text: Tensor, target: Tensor, config: AlignmentLossConfig) -> Tensor:
    """The cross-modal alignment loss: pixel to pixel and pixel to text, mean over the references that have both kinds.

    Pixels of the target are drawn to their own mean and to the text and away from the others, and the others to their
    own mean and away from the target. The paper prints no logarithm; without one it would be no InfoNCE loss. Where
    a reference has more than `config.pixels` of a kind, so many are drawn, and the sum over negatives is scaled up to
    what all of them would give.

    Args:
        pixels: (N, C, h, w) features.
        text: (N, C), of the phrase.
        target: (N, 1, h, w), positive where greater than 0.5.
        config: temperatures and how many pixels are drawn.

    Returns:
        Scalar; 0 where every target is empty or everything.
    """
    total = 0.0 * (pixels.sum() + text.sum())
    count = 0
    for own, phrase, mask in zip(pixels.flatten(2).transpose(1, 2), text, target.flatten(1) > 0.5, strict=True):
        if mask.any() and not mask.all():
            total = total + _one_reference(own[mask], own[~mask], phrase, config)
            count += 1
    return total / max(1, count)


def _one_reference(positive: Tensor, negative: Tensor, text: Tensor, config: AlignmentLossConfig) -> Tensor:
    """(P, C) and (R, C) raw features of pixels, (C,) of the phrase -> scalar."""
    centre = F.normalize(positive.mean(0), dim=0)
    centre_of_others = F.normalize(negative.mean(0), dim=0)
    text = F.normalize(text, dim=0)
    inside, more_inside = _drawn(positive, config.pixels)
    outside, more_outside = _drawn(negative, config.pixels)
    between = inside @ outside.T
    return (
        _contrast(inside @ centre, between, more_outside, config.pixel_temperature)
        + _contrast(outside @ centre_of_others, between.T, more_inside, config.pixel_temperature)
        + _contrast(inside @ text, between, more_outside, config.text_temperature)
    )


def _drawn(features: Tensor, most: int) -> tuple[Tensor, float]:
    """At most so many rows, normalised, and the logarithm of how many rows each of them stands for."""
    count = len(features)
    if count > most:
        features = features[torch.randperm(count, device=features.device)[:most]]
    return F.normalize(features, dim=1), math.log(count / len(features))


def _contrast(own: Tensor, others: Tensor, more: float, temperature: float) -> Tensor:
    """InfoNCE: (P,) similarities to what is meant, (P, R) to the negatives, each of which stands for exp(`more`)."""
    own = own / temperature
    rest = torch.logsumexp(others / temperature, dim=1) + more
    return (torch.logaddexp(own, rest) - own).mean()
