"""ResNet with frozen batch norms, as detectors use it (He et al., "Deep Residual Learning", CVPR 2016, table 1)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder

_EXPANSION = 4
NORM_EPS = 1e-5
"""Of the batch norms, as detectron2 has it."""


class ResNetConfig(BaseModel):
    """ResNet with bottlenecks. The defaults are ResNet-50.

    Attributes:
        depths: blocks in each stage.
        width: inner channels of the first stage; each further stage has twice as many, and four times as many outside.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["resnet"] = "resnet"
    depths: tuple[int, ...] = Field(default=(3, 4, 6, 3), min_length=1)
    width: int = Field(default=64, gt=0)


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics and parameters are those of the pre-training, for good.

    Buffers:
        weight, bias, running_mean, running_var: (channels,).
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=NORM_EPS)


class FrozenConv(nn.Module):
    """Convolution without bias, and its frozen norm."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
        self.norm = FrozenBatchNorm(outside)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        normed: Tensor = self.norm(self.convolution(x))
        return normed


class Bottleneck(nn.Module):
    """1x1, 3x3 (which has the stride), 1x1, and a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        outside = _EXPANSION * width
        self.reduce = FrozenConv(inside, width, 1)
        self.spatial = FrozenConv(width, width, 3, stride)
        self.expand = FrozenConv(width, outside, 1)
        self.shortcut = FrozenConv(inside, outside, 1, stride) if inside != outside or stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 width, H / stride, W / stride)."""
        y = self.expand(F.relu(self.spatial(F.relu(self.reduce(x)))))
        return F.relu(y + self.shortcut(x))


class ResNetStem(nn.Module):
    """(B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = FrozenConv(3, width, 7, stride=2)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return F.max_pool2d(F.relu(self.first(image)), 3, stride=2, padding=1)


class ResNet(ImageEncoder):
    """ResNet in stages of strides 4, 8, 16, 32. The stem and the first stage are never trained (detectron2's default).

    Pictures are RGB, normalised with ImageNet's statistics.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = ResNetStem(config.width)
        self.stages = nn.ModuleList()
        inside = config.width
        for stage, depth in enumerate(config.depths):
            width = config.width << stage
            blocks: list[nn.Module] = []
            for block in range(depth):
                blocks.append(Bottleneck(inside, width, 2 if stage and not block else 1))
                inside = _EXPANSION * width
            self.stages.append(nn.Sequential(*blocks))
        self.finish = nn.Identity()
        self.widths = self.channels = tuple(_EXPANSION * config.width << stage for stage in range(len(config.depths)))
        self.strides = tuple(4 << stage for stage in range(len(config.depths)))
        for part in (self.stem, self.stages[0]):
            part.requires_grad_(False)
