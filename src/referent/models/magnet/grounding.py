"""Mask Grounding (section 3.2): hidden words are predicted from language, picture and the true mask; in training only.

Two rivals of the paper's table share the code: masked vision-language modelling, which has no mask, and plain masked
language modelling, which has no picture either.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.base import TextEncoder
from referent.layers.attention import Attention
from referent.layers.position import normalised_sinusoids_2d, sinusoids
from referent.models.magnet.config import PredictorConfig

_INIT_STD = 0.02
Sources = Literal["mlm", "masked-vl", "mask"]


def hide(tokens: Tensor, encoder: TextEncoder, config: PredictorConfig) -> tuple[Tensor, Tensor]:
    """Chooses words at random and hides most of them.

    Args:
        tokens: (N, L) int64 ids.
        encoder: says which ids are no words, and which one hides a word.
        config: shares.

    Returns:
        (N, L) ids as the model shall see them; (N, L) bool, True at the chosen words.
    """
    special = torch.tensor((0, *encoder.special_ids), device=tokens.device)
    chosen = (torch.rand(tokens.shape, device=tokens.device) < config.share) & ~torch.isin(tokens, special)
    seen = torch.rand(tokens.shape, device=tokens.device) < config.kept
    return torch.where(chosen & ~seen, encoder.mask_id, tokens), chosen


def centres(target: Tensor) -> tuple[Tensor, Tensor]:
    """Where masks are.

    Args:
        target: (N, 1, H, W) in [0, 1].

    Returns:
        (N, 2): (x, y) of the centroid in [0, 1], pixel centres at (index + 0.5) / side; (N,) bool, False for an empty
        mask, whose centre is (0, 0).
    """
    weight = target[:, 0].float()
    area = weight.sum((1, 2))
    height, width = weight.shape[1:]
    x = (torch.arange(width, device=weight.device) + 0.5) / width
    y = (torch.arange(height, device=weight.device) + 0.5) / height
    moments = torch.stack(((weight.sum(1) * x).sum(1), (weight.sum(2) * y).sum(1)), dim=1)
    return moments / area.clamp(min=1e-6)[:, None], area > 0


class PredictorLayer(nn.Module):
    """Post-norm transformer layer, as BERT's."""

    def __init__(self, width: int, config: PredictorConfig) -> None:
        super().__init__()
        self.attention = Attention(width, config.heads, dropout=config.dropout)
        self.norm1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, config.feedforward), nn.GELU(), nn.Linear(config.feedforward, width))
        self.norm2 = nn.LayerNorm(width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """(N, T, width), (N, T) bool -> (N, T, width)."""
        x = self.norm1(x + self.dropout(self.attention(x, x, x, keep=keep)))
        refined: Tensor = self.norm2(x + self.dropout(self.mlp(x)))
        return refined


class Grounding(nn.Module):
    """Predicts hidden words.

    Args:
        sources: what from: "mlm" language; "masked-vl" language and picture; "mask" language, picture and mask.
        word_width: D, channels of a word.
        width: channels of the picture's map and of the predictor.
        rows: V, rows of the table of tokens.
        config: of the predictor.
    """

    def __init__(self, sources: Sources, word_width: int, width: int, rows: int, config: PredictorConfig) -> None:
        super().__init__()
        self.sources = sources
        self.words = nn.Linear(word_width, width)
        # What a token is: a word, a pixel, the mask. The paper is silent on this and on positions.
        self.kinds = nn.Parameter(torch.empty({"mlm": 1, "masked-vl": 2, "mask": 3}[sources], width))
        self.mask = (
            nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width)) if sources == "mask" else None
        )
        self.layers = nn.ModuleList(PredictorLayer(width, config) for _ in range(config.layers))
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, rows))
        nn.init.normal_(self.kinds, std=_INIT_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)

    def forward(self, words: Tensor, keep: Tensor, feature_map: Tensor, target: Tensor) -> Tensor:
        """Scores of every row of the table for every word.

        Args:
            words: (N, L, D), of the phrase with hidden words.
            keep: (N, L) bool, False at padding.
            feature_map: (N, width, h, w), the pixel decoder's coarsest.
            target: (N, 1, H, W) true masks; read with sources "mask" only.

        Returns:
            (N, L, V) logits.
        """
        length = words.shape[1]
        own = self.words(words)
        parts = [own + sinusoids(length, own.shape[-1], like=own) + self.kinds[0]]
        if self.sources != "mlm":
            height, width = feature_map.shape[-2:]
            places = normalised_sinusoids_2d(height, width, own.shape[-1], like=own)
            parts.append(feature_map.flatten(2).transpose(1, 2) + places + self.kinds[1])
        if self.mask is not None:
            parts.append((self.mask(centres(target)[0]) + self.kinds[2])[:, None])
        x = torch.cat(parts, dim=1)
        seen = F.pad(keep, (0, x.shape[1] - length), value=True)
        for layer in self.layers:
            x = layer(x, seen)
        scores: Tensor = self.head(x[:, :length])
        return scores

    def loss(
        self, words: Tensor, keep: Tensor, feature_map: Tensor, target: Tensor, rows: Tensor, chosen: Tensor
    ) -> Tensor:
        """Mean cross-entropy over the chosen words; 0 where there are none.

        With sources "mask" a reference whose mask is empty has nothing to be grounded in and does not count.

        Args:
            words, keep, feature_map, target: as in `forward`.
            rows: (N, L) rows of the true words.
            chosen: (N, L) bool.
        """
        if self.sources == "mask":
            chosen = chosen & centres(target)[1][:, None]
        scores = self(words, keep, feature_map, target)
        summed = F.cross_entropy(scores[chosen], rows[chosen], reduction="sum")
        # A batch without a chosen word still reaches every parameter, with gradient 0.
        mean: Tensor = (summed + 0.0 * scores.sum()) / max(1, int(chosen.sum()))
        return mean
