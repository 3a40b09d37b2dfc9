"""The detector's encoder for answering on a CPU: weights packed, and feed-forward parts a few pixels at a time."""

from __future__ import annotations

import torch
from torch import nn

from referent.layers.deformable_inference import FastDeformableLayer
from referent.models.unirefpp.encoder import Encoder, EncoderLayer


def fast_encoder(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """A copy that answers as `encoder` does and cannot train."""
    fast = Encoder.__new__(Encoder)
    nn.Module.__init__(fast)
    fast.levels = nn.Parameter(encoder.levels.detach().clone(), requires_grad=False)
    fast.layers = nn.ModuleList(
        FastDeformableLayer(layer.attention, layer.norm1, layer.norm2, layer.expand, layer.contract, dtype)
        for layer in encoder.layers
        if isinstance(layer, EncoderLayer)
    )
    return fast.eval()
