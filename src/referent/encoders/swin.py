"""Swin transformer (Liu et al., "Swin Transformer", ICCV 2021), as detection and segmentation use it: any picture size.

Shape letters: B pictures, H x W the map, C channels, n = window * window pixels of a window.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import ImageEncoder

# Added to scores between pixels that lie side by side only because the map was rolled.
_APART = -100.0
_MLP_RATIO = 4
_INIT_STD = 0.02


class SwinConfig(BaseModel):
    """Swin. The defaults are Swin-B at window 12, the encoder of LAVT and MagNet.

    Attributes:
        patch: side of a patch in pixels.
        width: channels of the first stage; each further stage has twice as many.
        depths: blocks in each stage.
        heads: attention heads in each stage.
        window: side of an attention window, in pixels of the map.
        drop_path: share of samples that skip the last block's branches in training; it grows linearly from 0 at the
            first block.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["swin"] = "swin"
    patch: int = Field(default=4, gt=0)
    width: int = Field(default=128, gt=0)
    depths: tuple[int, ...] = Field(default=(2, 2, 18, 2), min_length=1)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = Field(default=12, gt=0)
    drop_path: float = Field(default=0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_fit(self) -> SwinConfig:
        if len(self.heads) != len(self.depths):
            raise ValueError(f"heads: expected one entry a stage ({len(self.depths)}), found {self.heads}")
        for stage, heads in enumerate(self.heads):
            if (self.width << stage) % heads:
                raise ValueError(f"heads: expected a divisor of {self.width << stage} for stage {stage}, found {heads}")
        return self

    @classmethod
    def base(cls) -> SwinConfig:
        """Swin-B, window 12."""
        return cls()

    @classmethod
    def large(cls) -> SwinConfig:
        """Swin-L, window 12."""
        return cls(width=192, heads=(6, 12, 24, 48))


class DropPath(nn.Module):
    """Stochastic depth: in training, a residual branch is left out for some samples and scaled up for the others."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, branch: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.share == 0:
            return branch
        kept = torch.rand(len(branch), *(1,) * (branch.dim() - 1), device=branch.device) >= self.share
        return branch * kept / (1 - self.share)


class WindowAttention(nn.Module):
    """Self-attention inside windows, with a learned bias for every relative position."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.position_bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.position_bias, std=_INIT_STD)

    def forward(self, x: Tensor, relative: Tensor, apart: Tensor | None) -> Tensor:
        """Attend.

        Args:
            x: (B, windows, n, C).
            relative: (n, n) row of the bias table for each pair of pixels.
            apart: (windows, 1, n, n) added to the scores, or None.

        Returns:
            (B, windows, n, C).
        """
        batch, windows, pixels, channels = x.shape
        # Windows and heads share one axis, over which the bias is spread.
        q, k, v = (
            part.reshape(batch, windows, pixels, self.heads, -1).transpose(2, 3).flatten(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        bias = self.position_bias[relative].permute(2, 0, 1)
        bias = (bias if apart is None else bias + apart).expand(windows, self.heads, pixels, pixels)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.flatten(0, 1).to(q.dtype))
        mixed = mixed.reshape(batch, windows, self.heads, pixels, -1).transpose(2, 3)
        result: Tensor = self.out(mixed.reshape(batch, windows, pixels, channels))
        return result


class SwinBlock(nn.Module):
    """Window attention and an MLP, both after a norm; every second block rolls the map by half a window first."""

    def __init__(self, channels: int, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, _MLP_RATIO * channels), nn.GELU(), nn.Linear(_MLP_RATIO * channels, channels)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, relative: Tensor, apart: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C); `relative` and `apart` as in `WindowAttention`, of the padded map."""
        _, height, width, _ = x.shape
        # Zeros beyond the map come after the norm and take part as keys, as in the official code.
        padded = F.pad(self.norm1(x), (0, 0, 0, -width % self.window, 0, -height % self.window))
        rows, columns = padded.shape[1:3]
        if self.shift:
            padded = padded.roll((-self.shift, -self.shift), (1, 2))
        windows = cut(padded, self.window)
        attended = _join(self.attention(windows, relative, apart if self.shift else None), rows, columns, self.window)
        if self.shift:
            attended = attended.roll((self.shift, self.shift), (1, 2))
        x = x + self.drop_path(attended[:, :height, :width])
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class PatchMerging(nn.Module):
    """Four neighbours become one pixel of twice the channels; odd sides are padded with zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, ceil(H / 2), ceil(W / 2), 2 C)."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        four = torch.cat((x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]), dim=-1)
        merged: Tensor = self.reduce(self.norm(four))
        return merged


class SwinStem(nn.Module):
    """Patches to channels: (B, 3, H, W) -> (B, width, ceil(H / patch), ceil(W / patch))."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.project = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, width, h, w)."""
        image = F.pad(image, (0, -image.shape[-1] % self.patch, 0, -image.shape[-2] % self.patch))
        normed: Tensor = self.norm(self.project(image).permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class SwinStage(nn.Module):
    """Patch merging, except in the first stage, then blocks. The map's channels lie last in memory."""

    def __init__(self, config: SwinConfig, stage: int, drop_paths: list[float]) -> None:
        super().__init__()
        channels = config.width << stage
        self.window, self.shift = config.window, config.window // 2
        self.merge = PatchMerging(channels // 2) if stage else nn.Identity()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, config.heads[stage], config.window, self.shift if number % 2 else 0, share)
            for number, share in enumerate(drop_paths)
        )

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        x = self.merge(feature_map.permute(0, 2, 3, 1))
        relative = relative_positions(self.window, x.device)
        apart = pixels_apart(x.shape[1], x.shape[2], self.window, self.shift, like=x)
        for block in self.blocks:
            x = block(x, relative, apart)
        return x.permute(0, 3, 1, 2)  # type: ignore[no-any-return]


class Swin(ImageEncoder):
    """Swin in stages of strides 4, 8, 16, 32. A stage ends before its patch merging, which begins the next one.

    Maps are not normed: the norms that detectors put on each stage's map belong to those who read it.
    """

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = SwinStem(config)
        shares = torch.linspace(0, config.drop_path, sum(config.depths), device="cpu").tolist()
        starts = [sum(config.depths[:stage]) for stage in range(len(config.depths))]
        self.stages = nn.ModuleList(
            SwinStage(config, stage, shares[start : start + depth])
            for stage, (start, depth) in enumerate(zip(starts, config.depths, strict=True))
        )
        self.finish = nn.Identity()
        self.widths = self.channels = tuple(config.width << stage for stage in range(len(config.depths)))
        self.strides = tuple(config.patch << stage for stage in range(len(config.depths)))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_INIT_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def relative_positions(window: int, device: torch.device | None = None) -> Tensor:
    """(n, n) int64: the row of the bias table for every pair of pixels of a window, both in row-major order."""
    place = torch.arange(window, device=device)
    y, x = (axis.reshape(-1) for axis in torch.meshgrid(place, place, indexing="ij"))
    down, right = y[:, None] - y + window - 1, x[:, None] - x + window - 1
    return down * (2 * window - 1) + right


def pixels_apart(height: int, width: int, window: int, shift: int, like: Tensor) -> Tensor:
    """(windows, 1, n, n): what is added between pixels of a window that come from different sides of a rolled map."""
    rows, columns = (torch.arange(side + -side % window, device=like.device) for side in (height, width))
    down, right = (
        (place >= len(place) - window).long() + (place >= len(place) - shift).long() for place in (rows, columns)
    )
    regions = cut((3 * down[:, None] + right)[None, :, :, None], window)[0, :, :, 0]
    return (regions[:, :, None] != regions[:, None, :]).to(like.dtype)[:, None] * _APART


def cut(x: Tensor, window: int) -> Tensor:
    """(B, H, W, C) -> (B, windows, n, C)."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(batch, -1, window * window, channels)


def _join(windows: Tensor, height: int, width: int, window: int) -> Tensor:
    """(B, windows, n, C) -> (B, height, width, C)."""
    batch, _, _, channels = windows.shape
    x = windows.reshape(batch, height // window, width // window, window, window, channels)
    return x.transpose(2, 3).reshape(batch, height, width, channels)
