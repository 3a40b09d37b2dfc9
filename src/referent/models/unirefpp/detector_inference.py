"""The detector's encoder for answering on a CPU: weights packed, and feed-forward parts a few pixels at a time."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from referent.layers.deformable import Shapes
from referent.layers.packed import PackedLinear
from referent.layers.packed_copy import packed_copy
from referent.models.unirefpp.encoder import Encoder, EncoderLayer

# Pixels whose inner features, 2048 channels in the released model, are held at a time: so many stay in the caches.
_PIXELS_AT_ONCE = 1024


class _Layer(nn.Module):
    """`EncoderLayer`."""

    def __init__(self, layer: EncoderLayer, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.attention = packed_copy(layer.attention, 1, dtype)
        self.norm1, self.norm2 = copy.deepcopy(layer.norm1), copy.deepcopy(layer.norm2)
        self.expand = PackedLinear.of(layer.expand, dtype, relu=True, many=True)
        self.contract = PackedLinear.of(layer.contract, dtype, many=True)

    def forward(self, pixels: Tensor, places: Tensor, reference: Tensor, shapes: Shapes, keep: Tensor) -> Tensor:
        """As `EncoderLayer.forward`."""
        pixels = self.norm1(pixels + self.attention(pixels + places, reference, pixels, shapes, keep))
        rows = pixels.flatten(0, 1)
        refined = [
            self.norm2(some + self.contract(self.expand(some.to(self.dtype))).float())
            for some in torch.split(rows, _PIXELS_AT_ONCE)
        ]
        return torch.cat(refined).reshape(pixels.shape)


def fast_encoder(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """A copy that answers as `encoder` does and cannot train."""
    fast = Encoder.__new__(Encoder)
    nn.Module.__init__(fast)
    fast.levels = nn.Parameter(encoder.levels.detach().clone(), requires_grad=False)
    fast.layers = nn.ModuleList(_Layer(layer, dtype) for layer in encoder.layers if isinstance(layer, EncoderLayer))
    return fast.eval()
