"""Swin for answering on a CPU: the same function in fewer operations.

* what lies beyond the map is not projected: it is zero after the norm, so its queries, keys and values are the biases;
* padding, rolling and cutting into windows are one gather, and the way back another;
* weights packed once for oneDNN, residuals added by the products, MLPs a few rows at a time.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.swin import Swin, SwinBlock, SwinStage, cut, pixels_apart, relative_positions
from referent.layers.fast import Norm
from referent.layers.feedforward_inference import FastFeedForward
from referent.layers.packed import PackedLinear
from referent.layers.packed_copy import packed_copy


class _Windows(NamedTuple):
    """How the pixels of a map of one size lie in windows of n pixels.

    Attributes:
        pixel: (windows * n,) the pixel at each place; any where there is none.
        beyond: (P,) places where there is none.
        place: (H * W,) the place of each pixel.
        apart: (windows, 1, n, n) added to the scores, or None.
    """

    pixel: Tensor
    beyond: Tensor
    place: Tensor
    apart: Tensor | None


def _windows(height: int, width: int, window: int, shift: int) -> _Windows:
    numbers = torch.arange(1, height * width + 1).reshape(1, height, width, 1)
    padded = F.pad(numbers, (0, 0, 0, -width % window, 0, -height % window)).roll((-shift, -shift), (1, 2))
    pixel = cut(padded, window).flatten() - 1
    place = torch.empty(height * width, dtype=torch.int64)
    there = (pixel >= 0).nonzero()[:, 0]
    place[pixel[there]] = there
    apart = pixels_apart(height, width, window, shift, like=torch.empty(0)) if shift else None
    return _Windows(pixel.clamp(min=0), (pixel < 0).nonzero()[:, 0], place, apart)


class _Block:
    def __init__(self, block: SwinBlock, dtype: torch.dtype) -> None:
        attention, (expand, _, contract) = block.attention, block.mlp
        assert isinstance(expand, nn.Linear)
        assert isinstance(contract, nn.Linear)
        self.shift, self.heads, self.dtype = block.shift, attention.heads, dtype
        self.norm = Norm(block.norm1, torch.float32)
        self.qkv, self.out = PackedLinear.of(attention.qkv, dtype), PackedLinear.of(attention.out, dtype)
        self.beyond = attention.qkv.bias.detach().to(dtype)
        relative = relative_positions(block.window)
        self.bias = attention.position_bias.detach()[relative].permute(2, 0, 1).contiguous()
        self.mlp = FastFeedForward(block.norm2, expand, contract, F.gelu, norm_first=True, dtype=dtype)

    def __call__(self, x: Tensor, windows: _Windows) -> Tensor:
        """(B, K, C) float32 -> the same."""
        channels, size = x.shape[-1], self.bias.shape[-1]
        qkv = self.qkv(self.norm(x).to(self.dtype)).index_select(1, windows.pixel)
        if len(windows.beyond):
            qkv[:, windows.beyond] = self.beyond
        q, k, v = qkv.reshape(-1, size, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.bias[None] if windows.apart is None else (self.bias + windows.apart).repeat(len(x), 1, 1, 1)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        mixed = mixed.transpose(1, 2).reshape(len(x), -1, channels).index_select(1, windows.place)
        result: Tensor = self.mlp(x + self.out(mixed).float())
        return result


class _Stage(nn.Module):
    def __init__(self, stage: SwinStage, dtype: torch.dtype) -> None:
        super().__init__()
        self.window, self.shift = stage.window, stage.shift
        self.merge = packed_copy(stage.merge, 1, dtype)
        self.blocks = [_Block(block, dtype) for block in stage.blocks if isinstance(block, SwinBlock)]
        self._known: tuple[tuple[int, int], tuple[_Windows, _Windows]] | None = None

    def forward(self, feature_map: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        x: Tensor = self.merge(feature_map.permute(0, 2, 3, 1))
        batch, height, width, _ = x.shape
        straight, shifted = self._windows(height, width)
        x = x.reshape(batch, height * width, -1)
        for block in self.blocks:
            x = block(x, shifted if block.shift else straight)
        return x.reshape(batch, height, width, -1).permute(0, 3, 1, 2)

    def _windows(self, height: int, width: int) -> tuple[_Windows, _Windows]:
        """Of the last size, which is that of most pictures."""
        if self._known is None or self._known[0] != (height, width):
            both = _windows(height, width, self.window, 0), _windows(height, width, self.window, self.shift)
            self._known = (height, width), both
        return self._known[1]


class FastSwin(Swin):
    """A Swin that answers as `encoder` does and cannot train; maps are channels-last.

    Args:
        encoder: on the CPU, float32.
        dtype: of the large products; norms and residuals stay float32.
    """

    def __init__(self, encoder: Swin, dtype: torch.dtype) -> None:
        with torch.device("meta"):  # all of it is replaced
            super().__init__(encoder.config)
        self.stem = packed_copy(encoder.stem, 1)
        self.stages = nn.ModuleList(_Stage(stage, dtype) for stage in encoder.stages if isinstance(stage, SwinStage))
        self.finish = nn.Identity()
        self.eval()
