"""CLIP's encoders (Radford et al. 2021), in stages: ModifiedResNet, vision transformer, text transformer.

Two things differ from CLIP's own code, both as CRIS and ETRIS use it: the ResNet's attention pool keeps the map
instead of pooling it, and the positional tables are resized to the picture, so any size works.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder, TextEncoder
from referent.encoders.clip_config import HEAD_WIDTH, Activation, CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.tokenizers import END_OF_TEXT, IMPOSSIBLE_BYTE, START_OF_TEXT
from referent.encoders.vocabulary import rows_in_reduced_table
from referent.layers.attention import Attention
from referent.layers.position import resize_table


class QuickGELU(nn.Module):
    """z * sigmoid(1.702 z), CLIP's approximation of GELU."""

    scale = 1.702

    def forward(self, z: Tensor) -> Tensor:
        """Elementwise."""
        return z * torch.sigmoid(self.scale * z)


class Block(nn.Module):
    """Pre-norm transformer block: attention, then an MLP four times as wide. (B, L, width) -> (B, L, width)."""

    def __init__(self, width: int, heads: int, activation: Activation, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        act = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), act, nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, width)."""
        y = self.norm1(x)
        x = x + self.attention(y, y, y, causal=self.causal)
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class ResNetStem(nn.Module):
    """Three convolutions and an average pool: (B, 3, H, W) -> (B, width, H / 4, W / 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, H / 4, W / 4)."""
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        return F.avg_pool2d(x, 2)


class Bottleneck(nn.Module):
    """CLIP's bottleneck: where it strides, an average pool follows a convolution of stride 1."""

    expansion = 4

    def __init__(self, in_channels: int, planes: int, stride: int, project: bool) -> None:
        super().__init__()
        out_channels = planes * self.expansion
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Sequential(
                nn.AvgPool2d(stride) if stride > 1 else nn.Identity(),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )
            if project
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) -> (B, 4 planes, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.pool(y)))
        return F.relu(y + self.shortcut(x))


class MapAttentionPool(nn.Module):
    """CLIP's attention pool, made to keep the map (CRIS): every pixel is a query, a convolution goes around it.

    (B, channels, h, w) -> (B, out_channels, h, w).
    """

    def __init__(self, channels: int, out_channels: int, grid: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(grid * grid + 1, channels) / channels**0.5)
        self.attention = Attention(channels, max(1, channels // HEAD_WIDTH), out_width=out_channels)
        self.connect = nn.Sequential(nn.Conv2d(channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, out_channels, h, w)."""
        height, width = x.shape[-2:]
        tokens = x.flatten(2).transpose(1, 2) + resize_table(self.positions[1:], height, width)
        attended = self.attention(tokens, tokens, tokens).transpose(1, 2)
        connected: Tensor = self.connect(x)
        return F.relu(connected + attended.reshape(connected.shape))

    def pool(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> (B, out_channels): CLIP's own use, the mean of all pixels as the one query."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat((tokens.mean(1, keepdim=True), tokens), dim=1)
        table = torch.cat((self.positions[:1], resize_table(self.positions[1:], *x.shape[-2:])))
        tokens = tokens + table
        pooled: Tensor = self.attention(tokens[:, :1], tokens, tokens)
        return pooled[:, 0]


class CLIPResNet(ImageEncoder):
    """CLIP's ModifiedResNet: four stages of strides 4, 8, 16, 32; the last map goes through the attention pool."""

    def __init__(self, config: CLIPResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = ResNetStem(config.width)
        self.stages = nn.ModuleList()
        channels = config.width
        for number, count in enumerate(config.blocks):
            planes = config.width * 2**number
            stride = 1 if number == 0 else 2
            blocks = [Bottleneck(channels, planes, stride, project=True)]
            channels = planes * Bottleneck.expansion
            blocks += [Bottleneck(channels, planes, 1, project=False) for _ in range(count - 1)]
            self.stages.append(nn.Sequential(*blocks))
        self.finish = MapAttentionPool(channels, config.embed, config.grid)
        self.widths = (4 * config.width, 8 * config.width, 16 * config.width, 32 * config.width)
        self.channels = (*self.widths[:-1], config.embed)
        self.strides = (4, 8, 16, 32)

    def vector(self, image: Tensor) -> Tensor:
        """CLIP's image embedding, not normalised: (B, 3, H, W) -> (B, embed)."""
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
        assert isinstance(self.finish, MapAttentionPool)
        return self.finish.pool(x)


class ViTStem(nn.Module):
    """Patches, class token, positions: (B, 3, H, W) -> flow."""

    def __init__(self, config: CLIPViTConfig) -> None:
        super().__init__()
        scale = config.width**-0.5
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch, bias=False)
        self.class_token = nn.Parameter(scale * torch.randn(config.width))
        self.positions = nn.Parameter(scale * torch.randn(config.grid**2 + 1, config.width))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> map (B, width, h, w), class token (B, 1, width)."""
        x = self.patches(image)
        height, width = x.shape[-2:]
        tokens = self.norm(x.flatten(2).transpose(1, 2) + resize_table(self.positions[1:], height, width))
        token = self.norm(self.class_token + self.positions[0]).expand(len(x), 1, -1)
        return tokens.transpose(1, 2).reshape(-1, tokens.shape[-1], height, width), token


class ViTStage(nn.Module):
    """Some transformer blocks over the class token and the pixels of the map."""

    def __init__(self, config: CLIPViTConfig, depth: int) -> None:
        super().__init__()
        heads = config.width // HEAD_WIDTH
        self.blocks = nn.ModuleList(Block(config.width, heads, config.activation, causal=False) for _ in range(depth))

    def forward(self, flow: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """(map, class token) -> the same shapes."""
        feature_map, token = flow
        height, width = feature_map.shape[-2:]
        tokens = torch.cat((token, feature_map.flatten(2).transpose(1, 2)), dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, 1:].transpose(1, 2).reshape(-1, tokens.shape[-1], height, width), tokens[:, :1]


class ViTFinish(nn.Module):
    """The final norm and the projection into CLIP's shared space, applied to every pixel."""

    def __init__(self, config: CLIPViTConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.projection = nn.Parameter(config.width**-0.5 * torch.randn(config.width, config.embed))

    def forward(self, flow: tuple[Tensor, Tensor]) -> Tensor:
        """(map (B, width, h, w), class token) -> (B, embed, h, w)."""
        projected: Tensor = self.norm(flow[0].permute(0, 2, 3, 1)) @ self.projection
        return projected.permute(0, 3, 1, 2)

    def pool(self, flow: tuple[Tensor, Tensor]) -> Tensor:
        """The class token alone, CLIP's own use: -> (B, embed)."""
        pooled: Tensor = self.norm(flow[1][:, 0]) @ self.projection
        return pooled


class CLIPViT(ImageEncoder):
    """CLIP's vision transformer, cut into `depths` stages of one stride. Its flow is (map, class token)."""

    def __init__(self, config: CLIPViTConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = ViTStem(config)
        self.stages = nn.ModuleList(ViTStage(config, depth) for depth in config.depths)
        self.finish = ViTFinish(config)
        self.widths = (config.width,) * len(config.depths)
        self.channels = (*self.widths[:-1], config.embed)
        self.strides = (config.patch,) * len(config.depths)

    def get_map(self, flow: Any) -> Tensor:
        """The map inside (map, class token)."""
        feature_map: Tensor = flow[0]
        return feature_map

    def put_map(self, flow: Any, feature_map: Tensor) -> tuple[Tensor, Tensor]:
        """The flow with another map, the class token unchanged."""
        return feature_map, flow[1]

    def vector(self, image: Tensor) -> Tensor:
        """CLIP's image embedding, not normalised: (B, 3, H, W) -> (B, embed)."""
        flow = self.stem(image)
        for stage in self.stages:
            flow = stage(flow)
        assert isinstance(self.finish, ViTFinish)
        return self.finish.pool(flow)


class CLIPTextEncoder(TextEncoder):
    """CLIP's text transformer: causal, padding not masked (it comes last, so no word ever sees it).

    Tokens are CLIP's full ids at every interface, also where the table is reduced.

    Buffers:
        kept_ids: (V,) int64, only in a reduced table: the ids that have rows 0 .. V - 1, ascending; all other ids
            share row V.
        logit_scale: CLIP's temperature. Nothing here reads it; it is kept so that official weights round-trip.
    """

    kept_ids: Tensor
    logit_scale: Tensor

    def __init__(self, config: CLIPTextConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.width
        self.state_width = config.embed
        self.rows = config.vocabulary + config.reduced
        self.mask_id, self.special_ids = IMPOSSIBLE_BYTE, (START_OF_TEXT, END_OF_TEXT)
        self.embedding = nn.Embedding(self.rows, config.width)
        self.positions = nn.Parameter(torch.empty(config.context, config.width))
        self.layers = nn.ModuleList(
            Block(config.width, config.heads, config.activation, causal=True) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.projection = nn.Parameter(torch.empty(config.width, config.embed))
        self.register_buffer("logit_scale", torch.tensor(math.log(1 / 0.07)))
        if config.reduced:
            self.register_buffer("kept_ids", torch.arange(config.vocabulary))
        nn.init.normal_(self.embedding.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        nn.init.normal_(self.projection, std=config.width**-0.5)

    def embed(self, tokens: Tensor) -> Tensor:
        """(N, L) ids, L at most `context` -> (N, L, width)."""
        embedded: Tensor = self.embedding(self.rows_of(tokens)) + self.positions[: tokens.shape[1]]
        return embedded

    def rows_of(self, tokens: Tensor) -> Tensor:
        """(N, L) ids -> (N, L) rows of the table."""
        return rows_in_reduced_table(tokens, self.kept_ids) if self.config.reduced else tokens

    def finish(self, flow: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Words (N, L, width) after the final norm; state (N, embed) at the end marker, which has the largest id."""
        words: Tensor = self.norm(flow)
        end = tokens.argmax(dim=1)
        state = words[torch.arange(len(words), device=words.device), end] @ self.projection
        return words, state
