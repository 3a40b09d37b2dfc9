"""The alignment between stages as the authors' released code has it, which differs from the paper; bug for bug.

What differs is listed in this folder's README. Shape letters as in `alignment.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.magnet.alignment import (
    POOLED_SHARE,
    Aligned,
    Alignment,
    PixelWordAttention,
    as_map,
    as_pixels,
    gate,
    pooled_mlp,
    small_start,
    stretched,
)

# The value that BERT adds to the scores of padding. The released language side takes it for a mask of ones and zeros.
_PADDING = -10000.0
_MASKED = 1e4


class ReleasedAlignment(Alignment):
    """Pixels read the words at several sizes of the map, words read the pixels at its own size.

    The scales are mixed for the pixel decoder only; the next stage gets what was read at the map's own size.

    Args:
        channels: C.
        word_width: D.
        pyramid: sides of the pooled maps.
        expansion: of the pooled maps' MLPs.
        goes_on: whether there is a next stage; without one nothing reads the gate and the language side.
    """

    def __init__(self, channels: int, word_width: int, pyramid: tuple[int, ...], expansion: int, goes_on: bool) -> None:
        super().__init__()
        small = max(1, channels // POOLED_SHARE)
        self.pyramid = pyramid
        self.pooled = nn.ModuleList(pooled_mlp(channels, small, expansion) for _ in pyramid)
        self.pooled_attentions = nn.ModuleList(PixelWordAttention(small, word_width) for _ in pyramid)
        self.attention = PixelWordAttention(channels, word_width)
        self.mixer = nn.Sequential(
            nn.Linear(small * len(pyramid) + channels, channels),
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            nn.GELU(),
        )
        self.gate = gate(channels, nn.GELU()) if goes_on else None
        small_start(self)
        self.language = LanguageSide(channels, word_width) if goes_on else None
        self.language_is_read = self.language is not None

    def choose_language_side(self) -> None:
        """In training the language side is run; else it is where its gate is open, for only then it changes words."""
        self.language_is_read = self.language is not None and (self.training or self.language.is_open())

    def forward(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Aligned:
        """See `Alignment`. Words are left as they are where `language_is_read` is off."""
        height, width = feature_map.shape[-2:]
        pixels = as_pixels(feature_map)
        scales = []
        for side, mlp, attention in zip(self.pyramid, self.pooled, self.pooled_attentions, strict=True):
            read = attention(mlp(as_pixels(F.adaptive_avg_pool2d(feature_map, side))), words, keep)
            scales.append(stretched(read, side, height, width))
        read = self.attention(pixels, words, keep)
        mixed = as_map(self.mixer(torch.cat((*scales, read), dim=-1)), height, width)
        if self.language is not None and self.language_is_read:
            words = self.language(pixels, words, keep)
        if self.gate is not None:
            pixels = pixels + torch.tanh(self.gate(read)) * read
        return Aligned(as_map(pixels, height, width), words, mixed)


class LanguageSide(nn.Module):
    """Words read pixels, as released: the additive mask of BERT is used as if it were a mask of ones and zeros.

    So real words have the query 0 and all read the same, and padding has queries so large that what it reads is
    chaotic. Both matrices of the gate start at zero, where neither ever gets a gradient.

    Args:
        channels: C.
        word_width: D, the inner width too.
    """

    def __init__(self, channels: int, word_width: int) -> None:
        super().__init__()
        self.query = nn.Linear(word_width, word_width)
        self.key, self.value = nn.Linear(channels, word_width), nn.Linear(channels, word_width)
        self.read, self.own = nn.Linear(word_width, word_width), nn.Linear(word_width, word_width)
        self.out = nn.Linear(word_width, word_width)
        self.gate = gate(word_width, nn.ReLU())
        for parameter in self.gate.parameters():
            nn.init.zeros_(parameter)

    def is_open(self) -> bool:
        """Whether the gate lets anything through."""
        return any(bool(parameter.any()) for parameter in self.gate.parameters())

    def forward(self, pixels: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """(N, K, C), (N, L, D), (N, L) bool -> (N, L, D). In this order of operations, always in float32: the result
        of padding depends on the rounding."""
        with torch.autocast(pixels.device.type, enabled=False):
            return self._updated(pixels.float(), words.float(), keep)

    def _updated(self, pixels: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        mask = torch.zeros_like(words[..., :1]).masked_fill(~keep[..., None], _PADDING)
        q = self.query(words) * mask
        k, v = _normed_along(self.key(pixels)), _normed_along(self.value(pixels))
        scores = (q @ k.transpose(1, 2)) * q.shape[-1] ** -0.5
        scores = scores + (_MASKED * mask - _MASKED)
        read = _normed_along(self.read(scores.softmax(-1) @ v))
        result = F.gelu(self.out(F.gelu(self.own(words)) * read))
        return words + torch.tanh(self.gate(result)) * result


class Unread(nn.Module):
    """What the released checkpoints hold and no answer depends on: kept, frozen, so that they can be written again.

    Args:
        channels: of the image encoder's stages.
        word_width: D.
        width: channels of the mask decoder.
    """

    def __init__(self, channels: tuple[int, ...], word_width: int, width: int) -> None:
        super().__init__()
        self.image_norms = nn.ModuleList(nn.LayerNorm(count) for count in channels)
        self.word_norms = nn.ModuleList(nn.LayerNorm(word_width) for _ in channels)
        self.gate = gate(channels[-1], nn.GELU())
        self.language = LanguageSide(channels[-1], word_width)
        self.classes = nn.Linear(width, 2)
        self.requires_grad_(False)


def _normed_along(x: Tensor) -> Tensor:
    """(N, K, C): each channel normed over K, biased variance, eps 1e-5 (an InstanceNorm without weights)."""
    return F.instance_norm(x.transpose(1, 2)).transpose(1, 2)
