"""ResNet with frozen batch norms for inference on a CPU: norms folded, weights packed, 3x3 by Winograd if it pays."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder
from referent.encoders.resnet import NORM_EPS, Bottleneck, FrozenConv, ResNet, ResNetStem
from referent.layers.fast import conv1, conv_of_any_size


def _folded(block: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of the convolution that equals a `FrozenConv`."""
    assert isinstance(block, FrozenConv)
    norm = block.norm
    scale = norm.weight / (norm.running_var + NORM_EPS).sqrt()
    weight = block.convolution.weight.detach() * scale[:, None, None, None]
    return weight, norm.bias - norm.running_mean * scale


class _Stem(nn.Module):
    def __init__(self, stem: ResNetStem, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias = _folded(stem.first)
        self.dtype = dtype
        self.first = conv_of_any_size(weight, bias, size, dtype, True, stride=2, padding=weight.shape[-1] // 2)

    def forward(self, image: Tensor) -> Tensor:
        image = image.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return F.max_pool2d(self.first(image), 3, stride=2, padding=1)


class _Bottleneck(nn.Module):
    def __init__(self, block: Bottleneck, side: int, dtype: torch.dtype) -> None:
        super().__init__()
        stride = int(block.spatial.convolution.stride[0])
        self.reduce = conv1(*_folded(block.reduce), side, dtype)
        self.spatial = conv_of_any_size(*_folded(block.spatial), side, dtype, True, stride, padding=1)
        self.expand = conv1(*_folded(block.expand), side // stride, dtype)
        self.shortcut = None
        if isinstance(block.shortcut, FrozenConv):
            self.shortcut = conv_of_any_size(*_folded(block.shortcut), side, dtype, False, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.spatial(self.reduce(x)), x if self.shortcut is None else self.shortcut(x))


class FastFrozenResNet(ImageEncoder):
    """`ResNet` computing in `dtype` for pictures of about `size` pixels a side; its maps are channels-last float32."""

    def __init__(self, encoder: ResNet, size: int, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(encoder.stem, ResNetStem)
        self.stem = _Stem(encoder.stem, size, dtype)
        self.stages = nn.ModuleList()
        for number, stage in enumerate(encoder.stages):
            blocks = []
            for index, block in enumerate(stage.children()):
                assert isinstance(block, Bottleneck)
                side = size // encoder.strides[number - 1 if number and not index else number]
                blocks.append(_Bottleneck(block, max(1, side), dtype))
            self.stages.append(nn.Sequential(*blocks))
        self.finish = nn.Identity()
        self.widths, self.channels, self.strides = encoder.widths, encoder.channels, encoder.strides

    def forward(self, image: Tensor) -> list[Tensor]:
        """As `ResNet.forward`."""
        return [feature_map.float() for feature_map in super().forward(image)]
