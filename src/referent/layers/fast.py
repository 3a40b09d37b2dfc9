"""Parts of which the inference forms of models are made: small, without gradients, channels-last."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers import winograd
from referent.layers.convolution import coordinates
from referent.layers.packed import PackedConv, PackedLinear
from referent.layers.winograd import WinogradConv

# Products of channels and pixels from which Winograd's transforms paid for themselves in trials on two cores of a
# server CPU; a wrong guess costs speed and nothing else.
_WINOGRAD_FROM, _SMALL_WINOGRAD_FROM = 128 * 128 * 52 * 52, 128 * 128 * 32 * 32

# References that go through the neck, decoder and projector together: with more, the maps leave the processor's caches
# (8 at once take 12 % longer each than 4, and twice the memory).
TOGETHER = 4


def conv3(weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype, relu: bool = True) -> WinogradConv | PackedConv:
    """A 3x3 convolution for maps of about `side` pixels a side."""
    if dtype == torch.float32 and _winograd_pays(weight, side):
        return WinogradConv(weight, bias, relu)
    return PackedConv(weight.to(dtype), bias.to(dtype), relu, side, padding=1)


def conv_of_any_size(
    weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype, relu: bool, stride: int = 1, padding: int = 0
) -> WinogradConv | PackedConv:
    """A convolution for maps of any size, which are of about `side` pixels a side more often than not."""
    kernel = weight.shape[-1]
    if dtype == torch.float32 and (kernel, stride, padding) == (3, 1, 1) and _winograd_pays(weight, side):
        return WinogradConv(weight, bias, relu)
    packed = kernel == stride == 1  # the packing of all others depends on the size
    return PackedConv(weight.to(dtype), bias.to(dtype), relu, side if packed else None, stride, padding)


def _winograd_pays(weight: Tensor, side: int) -> bool:
    out_channels, in_channels = weight.shape[:2]
    weights = out_channels * in_channels
    least = _SMALL_WINOGRAD_FROM if weights == winograd.SMALL else _WINOGRAD_FROM
    return weights * side * side >= least and in_channels >= 128


def conv1(weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype, relu: bool = True) -> PackedConv:
    """A 1x1 convolution for maps of about `side` pixels a side."""
    return PackedConv(weight.to(dtype), bias.to(dtype), relu, side)


def rows_of(feature_map: Tensor) -> Tensor:
    """(N, C, h, w) channels-last -> (N, h * w, C), without a copy."""
    return feature_map.permute(0, 2, 3, 1).flatten(1, 2)


def map_of(rows: Tensor, height: int, width: int) -> Tensor:
    """(N, h * w, C) -> (N, C, h, w) channels-last, without a copy."""
    return rows.reshape(len(rows), height, width, -1).permute(0, 3, 1, 2)


class PlacedConv:
    """The 3x3 convolution with ReLU of a map with its coordinates: what these add is the same for all maps of a size.

    Args:
        weight: (O, C + 2, 3, 3); the last two channels are x and y.
        bias: (O,).
        side: of the maps, roughly.
        dtype: in which it convolves.
    """

    def __init__(self, weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype) -> None:
        of_map, self.of_places = torch.split(weight, [weight.shape[1] - 2, 2], dim=1)
        self.bias, self.dtype = bias, dtype
        self.convolution = conv3(of_map, torch.zeros_like(bias), side, dtype, relu=False)
        self._places: dict[tuple[int, int], Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, O, h, w), channels-last."""
        height, width = x.shape[-2:]
        added = self._places.get((height, width))
        if added is None:  # of one size only: pictures come letterboxed to one size
            places = coordinates(height, width, like=self.of_places)[None]
            added = F.conv2d(places, self.of_places, self.bias, padding=1).to(self.dtype)
            added = added.contiguous(memory_format=torch.channels_last)
            self._places = {(height, width): added}
        return self.convolution(x).add_(added).relu_()


def selected(part: Tensor, rows: Tensor) -> Tensor:
    """The given rows of a tensor; maps, which have four dimensions, come out channels-last."""
    if part.dim() != 4:
        return part.index_select(0, rows)
    return part.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


class Norm:
    """A LayerNorm whose weights are in `dtype`."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        self.shape, self.eps = norm.normalized_shape, norm.eps
        self.weight, self.bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return F.layer_norm(x, self.shape, self.weight, self.bias, self.eps)


def fused(layers: list[nn.Linear], dtype: torch.dtype) -> PackedLinear:
    """Several linear layers of one input as one."""
    weight = torch.cat([layer.weight.detach() for layer in layers])
    return PackedLinear(weight.to(dtype), torch.cat([layer.bias.detach() for layer in layers]).to(dtype))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, keep: Tensor | None = None, causal: bool = False) -> Tensor:
    """Attention of projected q (N, Q, C) on k and v (N, K, C); `keep` (N, K) is False at keys not to be seen."""

    def split(x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)

    mask = None if keep is None else keep[:, None, None, :]
    mixed = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask, is_causal=causal)
    return mixed.transpose(1, 2).flatten(2)


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that equals `norm(convolution(x))` in evaluation."""
    scale, shift = affine(norm)
    weight = convolution.weight.detach() * scale[:, None, None, None]
    return weight, shift if convolution.bias is None else shift + scale * convolution.bias.detach()


def folded_block(sequential: nn.Module) -> tuple[Tensor, Tensor]:
    """The folded weight and bias of a `conv_bn_relu`."""
    assert isinstance(sequential, nn.Sequential)
    convolution, norm = sequential[0], sequential[1]
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return folded(convolution, norm)


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Scale and shift of a batch norm in evaluation."""
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight.detach() / (variance + norm.eps).sqrt()
    return scale, norm.bias.detach() - mean * scale
