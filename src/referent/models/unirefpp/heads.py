"""Small pieces of the detector: the perceptron, and boxes in logits."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPS = 1e-5


class Perceptron(nn.Module):
    """Linear layers with ReLU between them: (..., widths[0]) -> (..., widths[-1])."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(inside, outside) for inside, outside in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for number, layer in enumerate(self.layers):
            x = layer(F.relu(x) if number else x)
        return x


def box_head(width: int) -> Perceptron:
    """What corrects a box, in logits; a fresh one corrects nothing."""
    head = Perceptron(width, width, width, 4)
    for parameter in head.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return head


def logits_of(share: Tensor) -> Tensor:
    """The inverse of the sigmoid; what lies within 1e-5 of 0 or 1 counts as that far away."""
    share = share.clamp(0, 1)
    return torch.log(share.clamp(min=_EPS) / (1 - share).clamp(min=_EPS))
