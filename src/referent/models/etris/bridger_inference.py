"""Bridgers for inference on a CPU: maps channels-last, norms folded, weights packed, residual sums fused."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.layers.attention import Attention
from referent.layers.fast import Norm, affine, attend, fused, map_of, rows_of
from referent.layers.packed import PackedConv, PackedLinear
from referent.models.etris.bridger import Bridger
from referent.models.etris.interactor import BlockInteractor, ProductInteractor
from referent.models.etris.zoom import Resize


class FastZoom:
    """A zoom layer, or the neck's projection of a map.

    A transposed convolution whose stride is its kernel makes a square of every pixel, so it is a linear layer.

    Args:
        layers: convolution, perhaps `Resize`, perhaps batch norm and ReLU.
        side: of the maps that it takes, about.
        dtype: of weights and maps.
    """

    def __init__(self, layers: nn.Sequential, side: int, dtype: torch.dtype) -> None:
        convolution, *rest = layers
        assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
        self.resize = next((layer for layer in rest if isinstance(layer, Resize)), None)
        norm = next((layer for layer in rest if isinstance(layer, nn.BatchNorm2d)), None)
        self.relu = norm is not None
        weight = convolution.weight.detach()
        if isinstance(convolution, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1)
        bias = weight.new_zeros(len(weight))
        if norm is not None:  # behind a resize, too: that only averages
            scale, bias = affine(norm)
            weight = weight * scale[:, None, None, None]
        weight, at_once = weight.to(dtype), self.relu and self.resize is None
        self.ratio = weight.shape[-1]
        self.convolution = None
        if isinstance(convolution, nn.Conv2d) and self.ratio > 1:
            self.convolution = PackedConv(weight, bias.to(dtype), at_once, side, stride=self.ratio)
        else:
            squares = weight.permute(2, 3, 0, 1).flatten(0, 2)
            self.linear = PackedLinear(squares, bias.to(dtype).repeat(self.ratio**2), at_once)

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, O, h', w'), both channels-last."""
        if self.convolution is not None:
            return self.convolution(x)
        count, _, height, width = x.shape
        squares = self.linear(rows_of(x)).reshape(count, height, width, self.ratio, self.ratio, -1)
        zoomed = squares.transpose(2, 3).reshape(count, height * self.ratio, width * self.ratio, -1).permute(0, 3, 1, 2)
        if self.resize is None:
            return zoomed
        resized: Tensor = self.resize(zoomed)
        return resized.relu_() if self.relu else resized


class _Cross:
    """Attention of one modality to the other."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self.heads = attention.heads
        self.query, self.out = PackedLinear.of(attention.query, dtype), PackedLinear.of(attention.out, dtype)
        self.key_value = fused([attention.key, attention.value], dtype)

    def __call__(self, own: Tensor, other: Tensor, residual: Tensor | None = None) -> Tensor:
        k, v = self.key_value(other).chunk(2, dim=-1)
        return self.out(attend(self.query(own), k, v, self.heads), other=residual)


class _Block:
    """`BlockInteractor`."""

    def __init__(self, block: BlockInteractor, dtype: torch.dtype) -> None:
        own = block.self_attention
        self.heads = own.heads
        self.qkv, self.out = fused([own.query, own.key, own.value], dtype), PackedLinear.of(own.out, dtype)
        self.cross = _Cross(block.cross_attention, dtype)
        self.norm1, self.norm2, self.norm3 = (Norm(norm, dtype) for norm in (block.norm1, block.norm2, block.norm3))
        self.expand = PackedLinear.of(block.expand, dtype, relu=True)
        self.contract = PackedLinear.of(block.contract, dtype)

    def settle(self, own: Tensor) -> Tensor:
        q, k, v = self.qkv(own).chunk(3, dim=-1)
        return self.norm1(self.out(attend(q, k, v, self.heads), other=own))

    def __call__(self, settled: Tensor, other: Tensor) -> Tensor:
        x = self.norm2(self.cross(settled, other, residual=settled))
        return self.norm3(self.contract(self.expand(x), other=x))


class _Product:
    """`ProductInteractor`."""

    def __init__(self, product: ProductInteractor, dtype: torch.dtype) -> None:
        self.cross = _Cross(product.cross_attention, dtype)

    def settle(self, own: Tensor) -> Tensor:
        return own

    def __call__(self, own: Tensor, other: Tensor) -> Tensor:
        return self.cross(own, other).mul_(own)


class FastBridger:
    """`Bridger` in `dtype`, for maps of about `side` pixels a side."""

    def __init__(self, bridger: Bridger, side: int, dtype: torch.dtype) -> None:
        self.met = bridger.met
        self.zoom_in = FastZoom(bridger.zoom_in, side, dtype)
        self.zoom_out = FastZoom(bridger.zoom_out, self.met(side, side)[0], dtype)
        self.words_in, self.words_out = (
            PackedLinear.of(layer, dtype) for layer in (bridger.words_in, bridger.words_out)
        )
        self.norms: tuple[Norm, Norm] | None = None
        if bridger.pixel_norm is not None and bridger.word_norm is not None:
            self.norms = Norm(bridger.pixel_norm, dtype), Norm(bridger.word_norm, dtype)
        self.pixel_interactor = _fast(bridger.pixel_interactor, dtype)
        self.word_interactor = _fast(bridger.word_interactor, dtype)

    def look(self, feature_map: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `Bridger.look`."""
        pixels = rows_of(self.zoom_in(feature_map))
        if self.norms is not None and previous is not None:
            pixels = self.norms[0](pixels + previous)
        return pixels, self.pixel_interactor.settle(pixels)

    def __call__(
        self, feature_map: Tensor, words: Tensor, seen: tuple[Tensor, Tensor], previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Bridger.forward`."""
        pixels, settled = seen
        inside = self.words_in(words)
        if self.norms is not None and previous is not None:
            inside = self.norms[1](inside + previous)
        read_by_pixels = self.pixel_interactor(settled, inside)
        read_by_words = self.word_interactor(self.word_interactor.settle(inside), pixels)
        change = self.zoom_out(map_of(read_by_pixels, *self.met(*feature_map.shape[-2:])))
        return change.add_(feature_map), self.words_out(read_by_words, other=words), inside


def _fast(interactor: BlockInteractor | ProductInteractor, dtype: torch.dtype) -> _Block | _Product:
    return _Block(interactor, dtype) if isinstance(interactor, BlockInteractor) else _Product(interactor, dtype)
