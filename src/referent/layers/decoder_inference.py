"""The cross-modal decoder for inference on a CPU: one product for q, k and v, positional shares computed once, words
taken into the projections of the pixels that read them."""

from __future__ import annotations

import torch
from torch import Tensor

from referent.layers.attention import Attention
from referent.layers.decoder import Decoder, DecoderLayer
from referent.layers.fast import Norm, attend, fused, map_of, rows_of
from referent.layers.packed import PackedLinear
from referent.layers.position import sinusoids, sinusoids_2d


class _WordAttention:
    """`Attention` of many pixels on few words.

    A score is bilinear in pixel and word, so keys are taken back through the query projection, and values through the
    last one, instead of projecting every pixel twice: of C channels and L words in h heads, h L products a pixel and
    channel are left of C + L.
    """

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        query, out, heads = attention.query, attention.out, attention.heads
        self.dtype = dtype
        self.key, self.value = (PackedLinear.of(layer, torch.float32) for layer in (attention.key, attention.value))
        self.scale = (query.out_features // heads) ** -0.5
        # Of each head: (heads, D, C), (heads, D) and (heads, D, C).
        self.query_weight = query.weight.detach().reshape(heads, -1, query.in_features)
        self.query_bias = query.bias.detach().reshape(heads, -1)
        self.out_weight = out.weight.detach().T.reshape(heads, -1, out.out_features)
        self.out_bias = out.bias.detach().to(dtype)

    def __call__(self, pixels: Tensor, words: Tensor, placed_words: Tensor, keep: Tensor) -> Tensor:
        """(N, P, C) pixels with their places in them, (N, L, D) float32 words and placed words, (N, L) keep."""
        heads = len(self.query_bias)
        key, value = (
            layer(part).reshape(*part.shape[:2], heads, -1).transpose(1, 2)
            for layer, part in ((self.key, placed_words), (self.value, words))
        )  # (N, heads, L, D)
        asked = (key @ self.query_weight).mul_(self.scale).flatten(1, 2)
        offset = (key @ self.query_bias[..., None])[..., 0].mul_(self.scale)
        offset = offset.masked_fill(~keep[:, None], -torch.inf).flatten(1)
        scores = torch.baddbmm(offset[:, None].to(self.dtype), pixels, asked.to(self.dtype).transpose(1, 2))
        shares = scores.reshape(*scores.shape[:2], heads, -1).softmax(-1).flatten(2)
        return torch.baddbmm(self.out_bias, shares, (value @ self.out_weight).flatten(1, 2).to(self.dtype))


class _DecoderLayer:
    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        own = layer.self_attention
        self.heads = own.heads
        self.dtype = dtype
        self.norm1, self.norm2, self.norm3 = (Norm(norm, dtype) for norm in (layer.norm1, layer.norm2, layer.norm3))
        self.own_norm = Norm(layer.self_attention_norm, dtype)
        self.cross_norm = Norm(layer.cross_attention_norm, dtype)
        self.inner_norm = Norm(layer.feedforward_norm, dtype)
        self.own_qkv = fused([own.query, own.key, own.value], dtype)
        self.own_out = PackedLinear.of(own.out, dtype)
        self.read = _WordAttention(layer.cross_attention, dtype)
        self.expand = PackedLinear.of(layer.expand, dtype, relu=True)
        self.contract = PackedLinear.of(layer.contract, dtype)
        self._own_places = torch.cat((own.query.weight, own.key.weight)).detach()
        self.like = self._own_places  # dtype and device of the encodings

    def places(self, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """The positional encodings' share of (q, k) of the first attention, and the encodings as they are."""
        return (pixel_places @ self._own_places.T).to(self.dtype), pixel_places.to(self.dtype)

    def __call__(
        self, pixels: Tensor, words: Tensor, placed_words: Tensor, keep: Tensor, places: tuple[Tensor, Tensor]
    ) -> Tensor:
        width = pixels.shape[-1]
        qkv = self.own_qkv(self.norm1(pixels))
        qkv[..., : 2 * width] += places[0]
        q, k, v = qkv.chunk(3, dim=-1)
        pixels = self.own_norm(self.own_out(attend(q, k, v, self.heads))).add_(pixels)
        read = self.read(self.norm2(pixels).add_(places[1]), words, placed_words, keep)
        pixels = self.cross_norm(read).add_(pixels)
        return self.contract(self.inner_norm(self.expand(self.norm3(pixels))), other=pixels)


class FastDecoder:
    """`Decoder` in `dtype`."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.layers = [_DecoderLayer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.norm, self.dtype = Norm(decoder.norm, dtype), dtype
        self._places: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def __call__(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """As `Decoder.forward`; maps are channels-last, words in any precision."""
        words = words.float()
        _, channels, height, width = feature_map.shape
        if (height, width) not in self._places:  # of one size only: pictures come letterboxed to one size
            pixel_places = sinusoids_2d(height, width, channels, like=self.layers[0].like)
            self._places = {(height, width): [layer.places(pixel_places) for layer in self.layers]}
        placed_words = words + sinusoids(words.shape[1], words.shape[2], like=words)
        pixels = rows_of(feature_map)
        for layer, places in zip(self.layers, self._places[height, width], strict=True):
            pixels = layer(pixels, words, placed_words, keep, places)
        return map_of(self.norm(pixels), height, width)
