"""Mask features and the mask encoder for answering on a CPU: norms folded, weights packed, what can be taken ahead."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.fast import conv_of_any_size, folded
from referent.layers.packed_copy import PackedLayer, packed_copy
from referent.models.unirefpp.mask_encoder import BasicBlock, MaskResNet
from referent.models.unirefpp.mask_head import MaskFeatures

Encoder = TypeVar("Encoder", bound=MaskResNet)


class FastMaskFeatures(nn.Module):
    """`MaskFeatures`, whose first stage's share depends on the picture alone and is computed apart.

    Args:
        features: on the CPU, float32.
        side: of the maps at stride 4, roughly.
        dtype: in which it convolves.
    """

    def __init__(self, features: MaskFeatures, side: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.lateral = PackedLayer(features.lateral, side, dtype)
        self.smooth, self.out = (packed_copy(layer, side) for layer in (features.smooth, features.out))
        sides = (side // 8, side // 4, side // 2, side // 2, side // 2)
        layers: Any = (*features.levels, features.narrow, features.narrower)
        self.convolutions = [
            conv_of_any_size(layer.weight.detach(), layer.bias.detach(), max(1, own), dtype, relu=True, padding=1)
            for layer, own in zip(layers, sides, strict=True)
        ]

    def forward(self, maps: list[Tensor], finest: Tensor) -> Tensor:
        """As `MaskFeatures.forward`, with the result of `lateral` (N, 8, h, w) for `finest`."""
        coarse, middle, fine, narrow, narrower = self.convolutions
        x = coarse(self._given(maps[2]))
        for convolution, level in ((middle, maps[1]), (fine, maps[0])):
            x = convolution(self._given(level + F.interpolate(x, level.shape[-2:], mode="nearest")))
        x = narrower(narrow(x)).float()
        grown = F.interpolate(x, finest.shape[-2:], mode="bilinear", align_corners=False)
        features: Tensor = self.out(F.relu(self.smooth(finest + grown)))
        return features

    def _given(self, x: Tensor) -> Tensor:
        return x.to(self.dtype).contiguous(memory_format=torch.channels_last)


def fast_mask_encoder(encoder: Encoder, side: int, dtype: torch.dtype) -> Encoder:
    """A copy that answers as `encoder` does and cannot train; `side` is that of the finest map that it gives."""
    twin = copy.deepcopy(encoder)
    twin.stem, twin.stem_norm = _merged(twin.stem, twin.stem_norm), nn.Identity()  # type: ignore[assignment]
    for block in [block for block in twin.modules() if isinstance(block, BasicBlock)]:
        for convolution, norm in (("conv1", "norm1"), ("conv2", "norm2")):
            setattr(block, convolution, _merged(getattr(block, convolution), getattr(block, norm)))
            setattr(block, norm, nn.Identity())
        if isinstance(block.shortcut, nn.Sequential):
            block.shortcut = nn.Sequential(_merged(*block.shortcut))
    return packed_copy(twin, side, dtype)


def _merged(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """The convolution that equals both in evaluation."""
    with torch.no_grad():
        weight, bias = folded(convolution, norm)
        convolution.weight.copy_(weight)
        assert convolution.bias is not None
        convolution.bias.copy_(bias)
    return convolution
