"""A layer of an encoder with deformable attention, for answering on a CPU."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from referent.layers.deformable import DeformableAttention, Shapes
from referent.layers.feedforward_inference import FastFeedForward
from referent.layers.packed_copy import packed_copy


class FastDeformableLayer(nn.Module):
    """Deformable attention of pixels and a feed-forward part, both normed after their sums.

    Args:
        attention, norm1: the first part.
        norm2, expand, contract: the second, with ReLU.
        dtype: of the large products.
    """

    def __init__(
        self,
        attention: DeformableAttention,
        norm1: nn.LayerNorm,
        norm2: nn.LayerNorm,
        expand: nn.Linear,
        contract: nn.Linear,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.attention, self.norm1 = packed_copy(attention, 1, dtype), copy.deepcopy(norm1)
        self.rest = FastFeedForward(norm2, expand, contract, None, False, dtype)

    def forward(
        self, pixels: Tensor, places: Tensor, reference: Tensor, shapes: Shapes, keep: Tensor | None = None
    ) -> Tensor:
        """(B, S, C) pixels of all levels with the encodings of their places -> the same pixels, refined.

        `reference`, `shapes` and `keep` are those of `DeformableAttention`.
        """
        return self.rest(self.norm1(pixels + self.attention(pixels + places, reference, pixels, shapes, keep)))
