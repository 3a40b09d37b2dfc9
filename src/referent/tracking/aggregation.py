"""From the probabilities of several objects to masks and scores. N objects, H x W pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def shared_out(probabilities: Tensor) -> Tensor:
    """(N, H, W) in [0, 1] -> (N, H, W) bool, of which at most one is True at each pixel.

    The background's probability is the product of all objects' improbabilities; the most probable of all wins, the
    first where two are equal. (The official inference; "soft aggregation" by odds is in its losses only.)
    """
    best = (1 - probabilities).prod(0)
    winner = torch.zeros_like(best, dtype=torch.int16)
    # `argmax` over a first dimension that is short takes several times as long on a CPU.
    for number, probability in enumerate(probabilities, start=1):
        winner.masked_fill_(probability > best, number)
        best = torch.maximum(best, probability)
    numbers = torch.arange(1, len(probabilities) + 1, dtype=winner.dtype, device=winner.device)
    return winner == numbers[:, None, None]


def inside_means(probabilities: Tensor, threshold: float) -> Tensor:
    """(N, H, W) in [0, 1] -> (N,): the mean of what is above `threshold`, 0 where nothing is: scores of a model without
    a presence head."""
    inside = probabilities > threshold
    return (probabilities * inside).sum((1, 2)) / inside.sum((1, 2)).clamp(min=1)


def each_alone(probabilities: Tensor) -> Tensor:
    """(N, H, W) in [0, 1] -> (N, H, W) bool: more probable than not."""
    return probabilities > 0.5
