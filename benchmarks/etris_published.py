"""ETRIS in the order of computation of the official code, written anew from notes on it; not the authors' code.

What differs from ours, with the same weights and the same answers:

* all attention is torch's `multi_head_attention_forward`, sequence first; inside Bridgers, neck and decoder it also
  returns its weights;
* the neck's gates are computed as the attention to one key that they are written as: queries of every pixel included;
* the layout slip: behind the last Bridger's residual, the ResNet's attention pool gets its pixels as a permuted view of
  a channels-first map, which torch multiplies by the weights one pixel at a time;
* maps are channels-first and batch norms apart.
"""

from __future__ import annotations

import torch
from speed import EnlargedFirst, TorchAttention
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import Block, MapAttentionPool
from referent.layers.attention import Attention
from referent.layers.convolution import with_coordinates
from referent.layers.position import resize_table
from referent.models.etris import ETRIS
from referent.models.etris.neck import Neck


def published(model: ETRIS) -> ETRIS:
    """A copy of `model` that computes as the published code does."""
    copy = ETRIS(model.config)
    copy.load_state_dict(model.state_dict())
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention) and not isinstance(module, MapAttentionPool):
                setattr(module, name, TorchAttention(child, need_weights=not isinstance(module, Block)))
    if isinstance(copy.image_encoder.finish, MapAttentionPool):
        copy.image_encoder.finish = SlippedPool(copy.image_encoder.finish)
    copy.neck = OneKeyNeck(copy.neck)
    copy.projector = EnlargedFirst(copy.projector)
    return copy.train(model.training)


class OneKeyNeck(nn.Module):
    """`Neck` whose gates are attention of every pixel to the one sentence."""

    def __init__(self, neck: Neck) -> None:
        super().__init__()
        self.neck, self.project = neck, neck.project

    def forward(self, maps: list[Tensor], state: Tensor) -> Tensor:
        """As `Neck.forward`."""
        neck, gated = self.neck, []
        sentence = neck.text(state)[:, None]  # type: ignore[misc]
        for feature_map, attention in zip(maps, neck.gates, strict=True):
            pixels = feature_map.flatten(2).transpose(1, 2)
            pixels = pixels * attention(pixels, sentence, sentence)
            gated.append(pixels.transpose(1, 2).reshape(feature_map.shape))
        merged = neck.aggregate(torch.cat(gated, dim=1))
        settled: Tensor = neck.settle(neck.place(with_coordinates(merged)))
        return settled


class SlippedPool(nn.Module):
    """`MapAttentionPool` with its pixels as a permuted view."""

    def __init__(self, pool: MapAttentionPool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, out_channels, h, w)."""
        pool, attention = self.pool, self.pool.attention
        places = resize_table(pool.positions[1:], *x.shape[-2:])
        pixels = (x.contiguous().flatten(2) + places.T).permute(2, 0, 1)
        query, key, value, out = attention.query, attention.key, attention.value, attention.out
        attended, _ = F.multi_head_attention_forward(
            pixels, pixels, pixels, pixels.shape[-1], attention.heads, None,
            torch.cat([query.bias, key.bias, value.bias]), None, None, False, 0.0, out.weight, out.bias,
            training=self.training, need_weights=False, use_separate_proj_weight=True, q_proj_weight=query.weight,
            k_proj_weight=key.weight, v_proj_weight=value.weight,
        )  # fmt: skip
        connected: Tensor = pool.connect(x)
        return F.relu(connected + attended.permute(1, 2, 0).reshape(connected.shape))
