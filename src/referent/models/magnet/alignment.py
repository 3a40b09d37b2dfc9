"""What happens between the stages of the two encoders: the paper's cross-modal alignment module, and LAVT's plain one.

Shape letters: N references, C channels of the map, H x W its size, K its pixels, L tokens, D channels of a word.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_INIT_STD = 0.02
POOLED_SHARE = 4
"""The pooled maps have C / 4 channels each."""


class Aligned(NamedTuple):
    """What a stage's alignment gives.

    Attributes:
        feature_map: (N, C, H, W) for the image encoder's next stage.
        words: (N, L, D) for the text encoder's next layers.
        read: (N, C, H, W) for the pixel decoder.
    """

    feature_map: Tensor
    words: Tensor
    read: Tensor


class Alignment(nn.Module, ABC):
    """Exchanges information between a stage's map and the words."""

    @abstractmethod
    def forward(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Aligned:
        """Align.

        Args:
            feature_map: (N, C, H, W).
            words: (N, L, D).
            keep: (N, L) bool, False at padding.
        """


class TwoWayAttention(nn.Module):
    """Pixels read words and words read pixels, by one matrix of scores (the X-MHA of GLIP, which the paper takes over).

    Args:
        width: C, channels of a pixel; the inner width too.
        word_width: D.
        heads: divides `width`.
        words_read: whether words read pixels at all.
    """

    def __init__(self, width: int, word_width: int, heads: int, words_read: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(word_width, width)
        self.word_value, self.pixel_out = nn.Linear(word_width, width), nn.Linear(width, width)
        self.pixel_value = nn.Linear(width, width) if words_read else None
        self.word_out = nn.Linear(width, word_width) if words_read else None

    def forward(self, pixels: Tensor, words: Tensor, keep: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, K, C), (N, L, D), (N, L) -> what each pixel read (N, K, C), what each word read (N, L, D) or None."""
        q, k = self._split(self.query(pixels)), self._split(self.key(words))
        read = F.scaled_dot_product_attention(q, k, self._split(self.word_value(words)), keep[:, None, None])
        by_pixels = self.pixel_out(read.transpose(1, 2).flatten(2))
        if self.pixel_value is None or self.word_out is None:
            return by_pixels, None
        read = F.scaled_dot_product_attention(k, q, self._split(self.pixel_value(pixels)))
        return by_pixels, self.word_out(read.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class PaperAlignment(Alignment):
    """The cross-modal alignment module (MagNet section 3.3): P + tanh(MLP(all scales)), O + tanh(MLP(all scales)).

    The map is pooled to several sizes; at each of them, and at its own size, pixels and words read each other.

    Args:
        channels: C.
        word_width: D.
        pyramid: sides of the pooled maps.
        expansion: of the pooled maps' MLPs.
        words_read: whether the words are updated; not after the last stage unless somebody reads them.
        relative: see `MagNetConfig`.
    """

    def __init__(
        self,
        channels: int,
        word_width: int,
        pyramid: tuple[int, ...],
        expansion: int,
        words_read: bool,
        relative: bool = False,
    ) -> None:
        super().__init__()
        small = max(1, channels // POOLED_SHARE)
        self.pyramid = pyramid
        self.pooled = nn.ModuleList(pooled_mlp(channels, small, expansion) for _ in pyramid)
        self.attentions = nn.ModuleList(
            TwoWayAttention(width, word_width, 1, words_read) for width in (*[small] * len(pyramid), channels)
        )
        joined = small * len(pyramid) + channels
        self.to_pixels = nn.Sequential(nn.Linear(joined, channels), nn.GELU(), nn.Linear(channels, channels))
        self.to_words = (
            nn.Sequential(
                nn.Linear((len(pyramid) + 1) * word_width, word_width), nn.GELU(), nn.Linear(word_width, word_width)
            )
            if words_read
            else None
        )
        self.read_norm = nn.LayerNorm(channels) if relative else None
        small_start(self)

    def forward(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Aligned:
        """See `Alignment`."""
        height, width = feature_map.shape[-2:]
        scales = [
            mlp(as_pixels(F.adaptive_avg_pool2d(feature_map, side)))
            for side, mlp in zip(self.pyramid, self.pooled, strict=True)
        ]
        by_pixels, by_words = [], []
        for attention, pixels in zip(self.attentions, (*scales, as_pixels(feature_map)), strict=True):
            of_pixels, of_words = attention(pixels, words, keep)
            by_pixels.append(of_pixels)
            by_words.append(of_words)
        update = as_map(torch.tanh(self._joined(by_pixels, height, width)), height, width)
        if self.to_words is not None:
            words = words + torch.tanh(self.to_words(torch.cat(by_words, dim=-1)))
        if self.read_norm is None:
            feature_map = feature_map + update
            return Aligned(feature_map, words, feature_map)
        feature_map = feature_map + update * feature_map.detach().std(1, keepdim=True)
        return Aligned(feature_map, words, as_map(self.read_norm(as_pixels(feature_map)), height, width))

    def _joined(self, reads: list[Tensor], height: int, width: int) -> Tensor:
        """The MLP of all scales side by side, (N, s * s, C / 4) each and (N, height * width, C), to the last's shape.

        Its first layer is applied before pooled maps are enlarged, which is linear too, and all are enlarged by one
        product.
        """
        mix, *rest = self.to_pixels
        assert isinstance(mix, nn.Linear)
        *shares, own = torch.split(mix.weight, [read.shape[2] for read in reads], dim=1)
        pooled = torch.cat([F.linear(read, share) for read, share in zip(reads[:-1], shares, strict=True)], dim=1)
        x = torch.baddbmm(F.linear(reads[-1], own, mix.bias), self._enlarging(height, width, pooled), pooled)
        for part in rest:
            x = part(x)
        return x

    def _enlarging(self, height: int, width: int, like: Tensor) -> Tensor:
        """(N, height * width, S): from the S pixels of all pooled maps to a map, bilinear with aligned corners."""
        each = [
            stretched(torch.eye(side * side, dtype=like.dtype, device=like.device)[None], side, height, width)
            for side in self.pyramid
        ]
        return torch.cat(each, dim=2).expand(len(like), -1, -1)


class PlainAlignment(Alignment):
    """LAVT's: pixels read the words, the result goes to the decoder and through a gate to the next stage.

    Args:
        channels: C.
        word_width: D.
        goes_on: whether there is a next stage.
    """

    def __init__(self, channels: int, word_width: int, goes_on: bool) -> None:
        super().__init__()
        self.attention = PixelWordAttention(channels, word_width)
        self.norm = nn.LayerNorm(channels)
        self.gate = gate(channels, nn.GELU()) if goes_on else None
        small_start(self)

    def forward(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Aligned:
        """See `Alignment`."""
        height, width = feature_map.shape[-2:]
        read = self.attention(as_pixels(feature_map), words, keep)
        if self.gate is not None:
            feature_map = feature_map + as_map(torch.tanh(self.gate(read)) * read, height, width)
        return Aligned(feature_map, words, as_map(self.norm(read), height, width))


class PixelWordAttention(nn.Module):
    """Every pixel reads the words with one head, and what it read is multiplied with what it is (LAVT's PWAM).

    As MagNet has it: layer norms where LAVT norms over the pixels.

    Args:
        width: C, of pixels and of the result.
        word_width: D.
    """

    def __init__(self, width: int, word_width: int) -> None:
        super().__init__()
        self.query, self.query_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.key, self.value = nn.Linear(word_width, width), nn.Linear(word_width, width)
        self.read, self.read_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.own = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, pixels: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """(N, K, C), (N, L, D), (N, L) bool -> (N, K, C)."""
        q = self.query_norm(self.query(pixels))[:, None]
        k, v = self.key(words)[:, None], self.value(words)[:, None]
        mixed = F.scaled_dot_product_attention(q, k, v, keep[:, None, None])[:, 0]
        read = self.read_norm(self.read(mixed))
        return F.gelu(self.out(F.gelu(self.own(pixels)) * read))


def pooled_mlp(channels: int, small: int, expansion: int) -> nn.Sequential:
    """The three-layer MLP of a pooled map: (N, K, channels) -> (N, K, small)."""
    return nn.Sequential(
        nn.Linear(channels, expansion * channels, bias=False),
        nn.LayerNorm(expansion * channels, eps=1e-6),
        nn.Linear(expansion * channels, channels, bias=False),
        nn.GELU(),
        nn.Linear(channels, small, bias=False),
    )


def gate(width: int, activation: nn.Module) -> nn.Sequential:
    """The two matrices of a gate; the gate itself is their tanh."""
    return nn.Sequential(nn.Linear(width, width, bias=False), activation, nn.Linear(width, width, bias=False))


def small_start(module: nn.Module) -> None:
    """Linear layers start at std 0.02, so that pretrained encoders are hardly disturbed and every gate can open."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=_INIT_STD)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def as_pixels(feature_map: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C)."""
    return feature_map.permute(0, 2, 3, 1).flatten(1, 2)


def as_map(pixels: Tensor, height: int, width: int) -> Tensor:
    """(N, H * W, C) -> (N, C, H, W), channels last in memory."""
    return pixels.reshape(len(pixels), height, width, -1).permute(0, 3, 1, 2)


def stretched(pixels: Tensor, side: int, height: int, width: int) -> Tensor:
    """(N, side * side, C) -> (N, height * width, C), bilinear with aligned corners."""
    return as_pixels(F.interpolate(as_map(pixels, side, side), (height, width), mode="bilinear", align_corners=True))
