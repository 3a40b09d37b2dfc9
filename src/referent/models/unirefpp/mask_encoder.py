"""The mask encoder: what an example's mask means, level by level (UniRef++ section 3.1, after STCN's value encoder).

Shape letters: M examples, C the common width, h x w a level's map.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.unirefpp.config import MaskEncoderConfig

_GATE_KERNEL = 7
_GROUPS = 32


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with biases and ordinary batch norms, and a shortcut."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1)
        self.norm2 = nn.BatchNorm2d(outside)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inside, outside, 1, stride), nn.BatchNorm2d(outside))
            if stride > 1 or inside != outside
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, C', h / stride, w / stride)."""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.shortcut(x))


class PreActivation(nn.Module):
    """ReLU before each of two 3x3 convolutions, and a shortcut that is one where the channels differ."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(inside, outside, 3, padding=1) if inside != outside else nn.Identity()
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, C', h, w)."""
        y: Tensor = self.conv2(F.relu(self.conv1(F.relu(x)))) + self.shortcut(x)
        return y


class Gates(nn.Module):
    """A gate for each channel, then one for each pixel (Woo et al., "CBAM", ECCV 2018), without batch norms."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        small = max(1, channels // reduction)
        self.channel = nn.Sequential(nn.Linear(channels, small), nn.ReLU(), nn.Linear(small, channels))
        self.pixel = nn.Conv2d(2, 1, _GATE_KERNEL, padding=_GATE_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(M, C, h, w) -> (M, C, h, w)."""
        gate = self.channel(x.mean((-2, -1))) + self.channel(x.amax((-2, -1)))
        x = x * gate.sigmoid()[:, :, None, None]
        pooled = torch.stack((x.amax(1), x.mean(1)), dim=1)
        gated: Tensor = x * self.pixel(pooled).sigmoid()
        return gated


class Fuser(nn.Module):
    """What the mask encoder sees together with what the image encoder sees, on one level."""

    def __init__(self, inside: int, width: int, reduction: int, inner: int | None = None) -> None:
        super().__init__()
        inner = inner or width
        self.first = PreActivation(inside + width, inner)
        self.gates = Gates(inner, reduction)
        self.second = PreActivation(inner, inner)
        self.widen = nn.Conv2d(inner, width, 1) if inner != width else nn.Identity()

    def forward(self, own: Tensor, features: Tensor) -> Tensor:
        """(M, inside, h, w), (M, width, h, w) -> (M, width, h, w)."""
        x = self.first(torch.cat((own, features), dim=1))
        fused: Tensor = self.widen(self.second(x + self.gates(x)))
        return fused


class MaskResNet(nn.Module):
    """The ResNet of four channels, at strides 4, 8, 16 and so on.

    Args:
        depths: blocks in each stage.
        width: channels of the first stage; each further stage has twice as many.
    """

    def __init__(self, depths: Sequence[int], width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 7, stride=2, padding=3)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stages = nn.ModuleList()
        self.channels = tuple(width << stage for stage in range(len(depths)))
        inside = width
        for stage, depth in enumerate(depths):
            blocks: list[nn.Module] = []
            for block in range(depth):
                blocks.append(BasicBlock(inside, self.channels[stage], 2 if stage and not block else 1))
                inside = self.channels[stage]
            self.stages.append(nn.Sequential(*blocks))
        nn.init.orthogonal_(self.stem.weight[:, 3:])

    def maps(self, image: Tensor, mask: Tensor) -> list[Tensor]:
        """(M, 3, H, W), (M, 1, H, W) -> the map of each stage."""
        x = F.relu(self.stem_norm(self.stem(torch.cat((image, mask), dim=1))))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class MaskEncoder(MaskResNet):
    """Picture and mask to a value map for each of four levels, strides 8, 16, 32 and 64.

    Args:
        config: of the ResNet.
        width: C, of the features and of the values.
    """

    def __init__(self, config: MaskEncoderConfig, width: int) -> None:
        super().__init__(config.depths, config.width)
        self.coarsest = nn.Sequential(
            nn.Conv2d(self.channels[-1], width, 3, stride=2, padding=1), nn.GroupNorm(min(_GROUPS, width), width)
        )
        taps = (*self.channels[1:], width)
        self.fusers = nn.ModuleList(Fuser(channels, width, config.gate_reduction, config.inner) for channels in taps)
        self.marks = nn.Parameter(torch.randn(len(taps), width)) if config.direct else None

    def forward(self, image: Tensor, mask: Tensor, features: list[Tensor]) -> list[Tensor]:
        """Encode.

        Args:
            image: (M, 3, H, W) float, normalised, padded with zeros.
            mask: (M, 1, H, W) float, 1 on the target.
            features: (M, C, h, w) for each of the four levels, of the same picture before any fusion.

        Returns:
            (M, C, h, w) for each of the four levels.
        """
        _, *own = self.maps(image, mask)
        own.append(self.coarsest(own[-1]))
        values = [fuser(tap, level) for fuser, tap, level in zip(self.fusers, own, features, strict=True)]
        if self.marks is None:
            return values
        return [
            value + F.interpolate(mask, value.shape[-2:], mode="area") * mark[:, None, None]
            for value, mark in zip(values, self.marks, strict=True)
        ]
