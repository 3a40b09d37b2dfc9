"""The convolution block of the published necks, and coordinate channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3) -> nn.Sequential:
    """Convolution without bias (stride 1, same size), batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


def coordinates(height: int, width: int, *, like: Tensor) -> Tensor:
    """(2, height, width): x, then y, each from -1 at the first to 1 at the last pixel."""
    x = torch.linspace(-1, 1, width, device=like.device, dtype=like.dtype).expand(height, width)
    y = torch.linspace(-1, 1, height, device=like.device, dtype=like.dtype)[:, None].expand(height, width)
    return torch.stack((x, y))


def with_coordinates(feature_map: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C + 2, h, w), the coordinates of each pixel behind its channels."""
    batch, _, height, width = feature_map.shape
    grid = coordinates(height, width, like=feature_map)
    return torch.cat((feature_map, grid.expand(batch, -1, -1, -1)), dim=1)
