"""MagNet in the order of computation of the official code, written anew from notes on it; not the authors' code.

What differs from ours, with the same weights and the same answers:

* phrases are padded to 20 tokens, and the language side is run although its gates are zero;
* attention is written out: products, softmax, products, in windows, between pixels and words, and in BERT;
* deformable attention is `grid_sample`, all samples side by side, one sum;
* the mask decoder is torch's `MultiheadAttention`, sequence first, which also returns its weights, of one query to
  itself too; every mask on the way is drawn at full size and resized, and classes are scored that nobody reads.
"""

from __future__ import annotations

from typing import Any

import torch
from speed import TorchAttention
from torch import Tensor, nn
from torch.nn import functional as F
from unirefpp_published import StackedSamples

from referent.encoders.swin import WindowAttention
from referent.layers.attention import Attention
from referent.layers.deformable import DeformableAttention
from referent.layers.position import normalised_sinusoids_2d
from referent.models.base import SegmentationModel
from referent.models.magnet import MagNet
from referent.models.magnet.alignment import PixelWordAttention
from referent.models.magnet.mask_decoder import MaskDecoder, MaskDecoderLayer
from referent.models.magnet.model import RELEASED_LENGTH
from referent.models.magnet.released import ReleasedAlignment

_MASKED = 1e4


class PublishedMagNet(MagNet):
    """`MagNet` of module "released", in the published order."""

    def _tokens(self, tokens: Tensor) -> Tensor:
        return F.pad(tokens, (0, RELEASED_LENGTH - tokens.shape[1]))

    def train(self, mode: bool = True) -> PublishedMagNet:
        """As `MagNet.train`; the language side is run whatever its gates are."""
        super().train(mode)
        for alignment in self.alignments:
            assert isinstance(alignment, ReleasedAlignment)
            alignment.language_is_read = alignment.language is not None
        return self

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 480) -> SegmentationModel:
        """This model: it is measured as it is."""
        return self


def published(model: MagNet) -> PublishedMagNet:
    """A copy of `model` that computes as the published code does."""
    copy = PublishedMagNet(model.config)
    copy.load_state_dict(model.state_dict())
    copy.mask_decoder = WrittenMaskDecoder(copy.mask_decoder, copy.unread.classes)
    written: dict[type[nn.Module], Any] = {
        Attention: WrittenAttention,
        WindowAttention: WrittenWindowAttention,
        PixelWordAttention: WrittenPixelWordAttention,
        DeformableAttention: StackedSamples,
    }
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if type(child) in written:
                setattr(module, name, written[type(child)](child))
    return copy.train(model.training)


class WrittenAttention(nn.Module):
    """`Attention` with its scores written out, as in BERT: what is not to be seen gets -10000."""

    def __init__(self, inner: Attention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor) -> Tensor:
        """As `Attention.forward`."""
        inner = self.inner
        q, k, v = (
            layer(x).unflatten(-1, (inner.heads, -1)).transpose(1, 2)
            for layer, x in ((inner.query, query), (inner.key, key), (inner.value, value))
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + (~keep[:, None, None]).float() * -_MASKED
        mixed = F.dropout(scores.softmax(-1), inner.dropout, self.training) @ v
        result: Tensor = inner.out(mixed.transpose(1, 2).flatten(2))
        return result


class WrittenWindowAttention(nn.Module):
    """`WindowAttention` with its scores written out."""

    def __init__(self, inner: WindowAttention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, relative: Tensor, apart: Tensor | None) -> Tensor:
        """As `WindowAttention.forward`."""
        inner = self.inner
        batch, windows, pixels, channels = x.shape
        qkv = inner.qkv(x).reshape(batch * windows, pixels, 3, inner.heads, channels // inner.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        bias = inner.position_bias[relative.flatten()].reshape(pixels, pixels, -1).permute(2, 0, 1).contiguous()
        scores = scores + bias[None]
        if apart is not None:
            scores = (scores.unflatten(0, (batch, windows)) + apart).flatten(0, 1)
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, windows, pixels, channels)
        result: Tensor = inner.out(mixed)
        return result


class WrittenPixelWordAttention(nn.Module):
    """`PixelWordAttention` with its scores written out, keys and values multiplied by the mask."""

    def __init__(self, inner: PixelWordAttention) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """As `PixelWordAttention.forward`."""
        inner, mask = self.inner, keep[:, None].float()
        q = inner.query_norm(inner.query(pixels))
        k = inner.key(words).transpose(1, 2) * mask
        v = inner.value(words).transpose(1, 2) * mask
        scores = (q @ k) * q.shape[-1] ** -0.5 + (_MASKED * mask - _MASKED)
        read = inner.read_norm(inner.read(scores.softmax(-1) @ v.transpose(1, 2)))
        return F.gelu(inner.out(F.gelu(inner.own(pixels)) * read))


class WrittenMaskDecoder(nn.Module):
    """`MaskDecoder` with every prediction made in full."""

    def __init__(self, inner: MaskDecoder, classes: nn.Linear) -> None:
        super().__init__()
        self.inner, self.classes = inner, classes
        self.cross, self.own = nn.ModuleList(), nn.ModuleList()
        for layer in inner.layers:
            assert isinstance(layer, MaskDecoderLayer)
            self.cross.append(TorchAttention(layer.cross_attention, need_weights=True))
            self.own.append(TorchAttention(layer.self_attention, need_weights=True))

    def forward(self, mask_features: Tensor, maps: list[Tensor]) -> Tensor:
        """As `MaskDecoder.forward`."""
        inner = self.inner
        places = [normalised_sinusoids_2d(*part.shape[-2:], part.shape[1], like=part) for part in maps]
        memories = [part.flatten(2).transpose(1, 2) + level for part, level in zip(maps, inner.levels, strict=True)]
        query = inner.query.expand(len(mask_features), 1, -1)
        masks = [self._predicted(query, mask_features)]
        for number, layer in enumerate(inner.layers):
            assert isinstance(layer, MaskDecoderLayer)
            which = number % len(maps)
            resized = F.interpolate(masks[-1].detach(), maps[which].shape[-2:], mode="bilinear", align_corners=False)
            keep = resized.flatten(1).sigmoid() >= 0.5
            keep = keep | ~keep.any(1, keepdim=True)
            read = self.cross[number](
                query + inner.query_place, memories[which] + places[which], memories[which], keep=keep
            )
            query = layer.norm1(query + read)
            asked = query + inner.query_place
            query = layer.norm2(query + self.own[number](asked, asked, query))
            query = layer.norm3(query + layer.contract(F.relu(layer.expand(query))))
            masks.append(self._predicted(query, mask_features))
        return torch.cat(masks, dim=1)

    def _predicted(self, query: Tensor, mask_features: Tensor) -> Tensor:
        """(N, 1, C) -> (N, 1, h, w)."""
        normed = self.inner.norm(query)
        self.classes(normed)
        return torch.einsum("nqc,nchw->nqhw", self.inner.kernel(normed), mask_features)
