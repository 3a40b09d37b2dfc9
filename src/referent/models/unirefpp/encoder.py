"""The detector's encoder: deformable attention between the pixels of all levels.

Shape letters: N references, L levels, S their pixels together, C channels, h x w a level's map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.deformable import DeformableAttention, Shapes
from referent.models.unirefpp.config import DetectorConfig
from referent.models.unirefpp.extent import Extent

_EPS = 1e-6
_BASE = 10000.0


class EncoderLayer(nn.Module):
    """Post-norm layer: deformable self-attention, then a feed-forward part."""

    def __init__(self, width: int, levels: int, config: DetectorConfig) -> None:
        super().__init__()
        self.attention = DeformableAttention(width, config.heads, levels, config.points)
        self.norm1 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, width)
        self.norm2 = nn.LayerNorm(width)
        for layer in (self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, pixels: Tensor, places: Tensor, reference: Tensor, shapes: Shapes, keep: Tensor) -> Tensor:
        """One layer.

        Args:
            pixels: (N, S, C).
            places: (N, S, C) encodings, added to the queries and to nothing else.
            reference: (N, S, L, 2), each pixel's own centre on every level.
            shapes: of the levels.
            keep: (N, S) bool, False at padding.

        Returns:
            (N, S, C).
        """
        pixels = self.norm1(pixels + self.attention(pixels + places, reference, pixels, shapes, keep))
        refined: Tensor = self.norm2(pixels + self.contract(F.relu(self.expand(pixels))))
        return refined


class Encoder(nn.Module):
    """`config.encoder_layers` layers, and an embedding for each level."""

    def __init__(self, width: int, levels: int, config: DetectorConfig) -> None:
        super().__init__()
        self.levels = nn.Parameter(torch.randn(levels, width))
        self.layers = nn.ModuleList(EncoderLayer(width, levels, config) for _ in range(config.encoder_layers))

    def forward(self, maps: list[Tensor], extent: Extent) -> Tensor:
        """Encode.

        Args:
            maps: (N, C, h, w), fine to coarse.
            extent: of the pictures on them.

        Returns:
            (N, S, C), the levels one after the other.
        """
        pixels = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)
        width = pixels.shape[-1]
        places = torch.cat(
            [places_in(mask, width) + level for mask, level in zip(extent.masks, self.levels, strict=True)], dim=1
        ).to(pixels.dtype)
        reference, keep = own_centres(extent), extent.keep
        for layer in self.layers:
            pixels = layer(pixels, places, reference, extent.shapes, keep)
        return pixels


def places_in(mask: Tensor, width: int) -> Tensor:
    """(N, h * w, width) sine encodings: rows in the first half, columns in the second, from 0 to 2 pi over the picture.

    What padding gets (the official numbers) shows in masks only next to the picture's edge.

    Args:
        mask: (N, h, w) bool, True inside the picture.
        width: a multiple of 4.
    """
    exponent = torch.arange(0, width // 2, 2, device=mask.device, dtype=torch.float32) / (width // 2)
    period = torch.pow(_BASE, exponent)
    encoded = []
    for axis in (1, 2):
        count = mask.cumsum(axis, dtype=torch.float32)
        last = count.narrow(axis, -1, 1)
        angle = ((count - 0.5) / (last + _EPS) * (2 * math.pi))[..., None] / period
        encoded.append(torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(3))
    return torch.cat(encoded, dim=-1).flatten(1, 2)


def own_centres(extent: Extent) -> Tensor:
    """(N, S, L, 2): where each pixel's own centre lies on every level, (x, y) as shares of the padded maps."""
    centres = []
    for number, (height, width) in enumerate(extent.shapes):
        side = extent.sides[:, number]
        x = (torch.arange(width, device=side.device) + 0.5) / side[:, :1]
        y = (torch.arange(height, device=side.device) + 0.5) / side[:, 1:]
        grid = torch.stack((x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)), dim=-1)
        centres.append(grid.flatten(1, 2))
    return torch.cat(centres, dim=1)[:, :, None] * extent.ratios[:, None]
