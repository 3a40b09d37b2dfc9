"""The pixel decoder: deformable attention between the stages' maps (Mask2Former's; as released, all of them)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.deformable import DeformableAttention, Shapes
from referent.layers.position import normalised_sinusoids_2d
from referent.models.magnet.config import PixelDecoderConfig

_GROUP_WIDTH = 8  # channels that are normed together: 32 groups of 256


class PixelDecoderLayer(nn.Module):
    """Post-norm layer: deformable self-attention over the pixels of all levels, then a feed-forward part."""

    def __init__(self, config: PixelDecoderConfig, levels: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(config.width, config.heads, levels, config.points)
        self.norm1 = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        for layer in (self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, pixels: Tensor, places: Tensor, reference: Tensor, shapes: Shapes) -> Tensor:
        """One layer.

        Args:
            pixels: (N, S, width), all levels one after the other.
            places: (S, width) encodings, added to the queries and to nothing else.
            reference: (S, 2), each pixel's own centre in [0, 1].
            shapes: (height, width) of each level.

        Returns:
            (N, S, width).
        """
        pixels = self.norm1(pixels + self.attention(pixels + places, reference, pixels, shapes))
        refined: Tensor = self.norm2(pixels + self.contract(F.relu(self.expand(pixels))))
        return refined


class PyramidStep(nn.Module):
    """A finer map gets what a coarser one knows, as in Mask2Former, with a depthwise convolution.

    Args:
        channels: of the finer map.
        width: channels of the coarser map and of the result.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.own = nn.Conv2d(channels, width, 1)
        self.smooth = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.GroupNorm(width // _GROUP_WIDTH, width),
            nn.ReLU(),
        )

    def forward(self, feature_map: Tensor, coarser: Tensor) -> Tensor:
        """(N, channels, h, w), (N, width, h', w') -> (N, width, h, w)."""
        own = self.own(feature_map)
        smooth: Tensor = self.smooth(own + F.interpolate(coarser, own.shape[-2:], mode="bilinear"))
        return smooth


class PixelDecoder(nn.Module):
    """Maps of all stages to maps that know each other.

    Args:
        config: widths and numbers.
        channels: of the maps, fine to coarse.
    """

    def __init__(self, config: PixelDecoderConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        width = config.width
        self.width = width
        # Coarse to fine, as everything in here.
        attending = len(channels) if config.levels is None else config.levels
        coarse, fine = channels[::-1][:attending], channels[::-1][attending:]
        self.inputs = nn.ModuleList(nn.Conv2d(count, width, 1) for count in coarse)
        self.norms = nn.ModuleList(nn.GroupNorm(width // _GROUP_WIDTH, width) for _ in coarse)
        self.levels = nn.Parameter(torch.randn(len(coarse), width))
        self.layers = nn.ModuleList(PixelDecoderLayer(config, len(coarse)) for _ in range(config.layers))
        self.pyramid = nn.ModuleList(PyramidStep(count, width) for count in fine)
        self.out = nn.Linear(width, width)
        for convolution in self.inputs:
            assert isinstance(convolution, nn.Conv2d)
            nn.init.xavier_uniform_(convolution.weight)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
        nn.init.kaiming_uniform_(self.out.weight, a=1)
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode.

        Args:
            maps: (N, channels[i], h_i, w_i), fine to coarse.

        Returns:
            Mask features (N, width, h_0, w_0), and the other levels, coarse to fine, (N, width, h_i, w_i).
        """
        decoded = self._attended(maps[::-1][: len(self.inputs)])
        for feature_map, step in zip(maps[::-1][len(self.inputs) :], self.pyramid, strict=True):
            decoded.append(step(feature_map, decoded[-1]))
        finest: Tensor = self.out(decoded[-1].permute(0, 2, 3, 1))
        return finest.permute(0, 3, 1, 2), decoded[:-1]

    def _attended(self, maps: list[Tensor]) -> list[Tensor]:
        """(N, channels[i], h_i, w_i), coarse to fine, to the same with `width` channels, after deformable attention."""
        maps = [
            norm(convolution(feature_map))
            for convolution, norm, feature_map in zip(self.inputs, self.norms, maps, strict=True)
        ]
        shapes = [(feature_map.shape[-2], feature_map.shape[-1]) for feature_map in maps]
        pixels = torch.cat([feature_map.flatten(2).transpose(1, 2) for feature_map in maps], dim=1)
        places = torch.cat(
            [
                normalised_sinusoids_2d(height, width, self.width, like=pixels) + level
                for (height, width), level in zip(shapes, self.levels, strict=True)
            ]
        )
        reference = torch.cat([_centres(height, width, pixels) for height, width in shapes])
        for layer in self.layers:
            pixels = layer(pixels, places, reference, shapes)
        return [
            level.transpose(1, 2).reshape(len(level), self.width, height, width)
            for level, (height, width) in zip(
                torch.split(pixels, [height * width for height, width in shapes], dim=1), shapes, strict=True
            )
        ]


def _centres(height: int, width: int, like: Tensor) -> Tensor:
    """(height * width, 2): (x, y) of each pixel's centre in [0, 1], row-major."""
    y = (torch.arange(height, device=like.device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=like.device, dtype=torch.float32) + 0.5) / width
    return torch.stack((x.expand(height, -1), y[:, None].expand(-1, width)), dim=-1).flatten(0, 1)
