"""The cross-modal decoder for inference on a CPU: one product for q, k and v, positional shares computed once."""

from __future__ import annotations

import torch
from torch import Tensor

from referent.layers.decoder import Decoder, DecoderLayer
from referent.layers.fast import Norm, attend, fused, map_of, rows_of
from referent.layers.packed import PackedLinear
from referent.layers.position import sinusoids, sinusoids_2d


class _DecoderLayer:
    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        own, cross = layer.self_attention, layer.cross_attention
        self.heads = own.heads
        self.dtype = dtype
        self.norm1, self.norm2, self.norm3 = (Norm(norm, dtype) for norm in (layer.norm1, layer.norm2, layer.norm3))
        self.own_norm = Norm(layer.self_attention_norm, dtype)
        self.cross_norm = Norm(layer.cross_attention_norm, dtype)
        self.inner_norm = Norm(layer.feedforward_norm, dtype)
        self.own_qkv = fused([own.query, own.key, own.value], dtype)
        self.own_out = PackedLinear.of(own.out, dtype)
        self.cross_query = PackedLinear.of(cross.query, dtype)
        self.cross_key, self.cross_value = PackedLinear.of(cross.key, dtype), PackedLinear.of(cross.value, dtype)
        self.cross_out = PackedLinear.of(cross.out, dtype)
        self.expand = PackedLinear.of(layer.expand, dtype, relu=True)
        self.contract = PackedLinear.of(layer.contract, dtype)
        self._own_places = torch.cat((own.query.weight, own.key.weight)).detach()
        self._cross_places = cross.query.weight.detach()
        self.like = self._cross_places  # dtype and device of the encodings

    def places(self, pixel_places: Tensor) -> tuple[Tensor, Tensor]:
        """The positional encodings' share of (q, k) of the first and of q of the second attention."""
        own, cross = pixel_places @ self._own_places.T, pixel_places @ self._cross_places.T
        return own.to(self.dtype), cross.to(self.dtype)

    def __call__(
        self, pixels: Tensor, words: Tensor, placed_words: Tensor, keep: Tensor, places: tuple[Tensor, Tensor]
    ) -> Tensor:
        width = pixels.shape[-1]
        qkv = self.own_qkv(self.norm1(pixels))
        qkv[..., : 2 * width] += places[0]
        q, k, v = qkv.chunk(3, dim=-1)
        pixels = self.own_norm(self.own_out(attend(q, k, v, self.heads))).add_(pixels)
        q = self.cross_query(self.norm2(pixels)).add_(places[1])
        attended = attend(q, self.cross_key(placed_words), self.cross_value(words), self.heads, keep)
        pixels = self.cross_norm(self.cross_out(attended)).add_(pixels)
        return self.contract(self.inner_norm(self.expand(self.norm3(pixels))), other=pixels)


class FastDecoder:
    """`Decoder` in `dtype`."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self.layers = [_DecoderLayer(layer, dtype) for layer in decoder.layers if isinstance(layer, DecoderLayer)]
        self.norm, self.dtype = Norm(decoder.norm, dtype), dtype
        self._places: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}

    def __call__(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """As `Decoder.forward`; maps are channels-last, words in any precision."""
        words = words.to(self.dtype)
        _, channels, height, width = feature_map.shape
        if (height, width) not in self._places:  # of one size only: pictures come letterboxed to one size
            pixel_places = sinusoids_2d(height, width, channels, like=self.layers[0].like)
            self._places = {(height, width): [layer.places(pixel_places) for layer in self.layers]}
        placed_words = words + sinusoids(words.shape[1], words.shape[2], like=words)
        pixels = rows_of(feature_map)
        for layer, places in zip(self.layers, self._places[height, width], strict=True):
            pixels = layer(pixels, words, placed_words, keep, places)
        return map_of(self.norm(pixels), height, width)
