"""The detector's encoder for answering on a CPU: weights packed, and feed-forward parts a few pixels at a time."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from referent.layers.deformable import Shapes
from referent.layers.feedforward_inference import FastFeedForward
from referent.layers.packed_copy import packed_copy
from referent.models.unirefpp.encoder import Encoder, EncoderLayer


class _Layer(nn.Module):
    """`EncoderLayer`."""

    def __init__(self, layer: EncoderLayer, dtype: torch.dtype) -> None:
        super().__init__()
        self.attention, self.norm1 = packed_copy(layer.attention, 1, dtype), copy.deepcopy(layer.norm1)
        self.rest = FastFeedForward(layer.norm2, layer.expand, layer.contract, None, False, dtype)

    def forward(self, pixels: Tensor, places: Tensor, reference: Tensor, shapes: Shapes, keep: Tensor) -> Tensor:
        """As `EncoderLayer.forward`."""
        return self.rest(self.norm1(pixels + self.attention(pixels + places, reference, pixels, shapes, keep)))


def fast_encoder(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """A copy that answers as `encoder` does and cannot train."""
    fast = Encoder.__new__(Encoder)
    nn.Module.__init__(fast)
    fast.levels = nn.Parameter(encoder.levels.detach().clone(), requires_grad=False)
    fast.layers = nn.ModuleList(_Layer(layer, dtype) for layer in encoder.layers if isinstance(layer, EncoderLayer))
    return fast.eval()
