"""The detector's decoder: queries look at each other and at the memory, and correct their boxes layer by layer.

Shape letters: N references, Q queries, S pixels of all levels, C channels, D layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.attention import Attention
from referent.layers.deformable import DeformableAttention, Shapes
from referent.models.unirefpp.config import DetectorConfig
from referent.models.unirefpp.extent import Extent
from referent.models.unirefpp.heads import box_head, logits_of
from referent.models.unirefpp.proposals import RARE, Proposals


class Decoded(NamedTuple):
    """What the decoder's layers say.

    Attributes:
        states: (D, N, Q, C).
        references: (D + 1, N, Q, 4), (centre x, centre y, width, height) in [0, 1]: before the first layer, then after
            each. The gradient of each goes through the layer that made it and the one before ("look forward twice").
    """

    states: Tensor
    references: Tensor


class DecoderLayer(nn.Module):
    """Post-norm layer: self-attention, deformable attention to the memory, feed-forward part."""

    def __init__(self, width: int, levels: int, config: DetectorConfig) -> None:
        super().__init__()
        self.self_attention = Attention(width, config.heads)
        self.norm1 = nn.LayerNorm(width)
        self.attention = DeformableAttention(width, config.heads, levels, config.points)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, width)
        self.norm3 = nn.LayerNorm(width)
        for layer in (self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self, queries: Tensor, places: Tensor, reference: Tensor, memory: Tensor, shapes: Shapes, keep: Tensor
    ) -> Tensor:
        """One layer.

        Args:
            queries: (N, Q, C).
            places: (N, Q, C), added to queries and keys.
            reference: (N, Q, L, 4), each query's box on every level.
            memory: (N, S, C).
            shapes: of the levels.
            keep: (N, S) bool, False at padding.

        Returns:
            (N, Q, C).
        """
        placed = queries + places
        queries = self.norm1(queries + self.self_attention(placed, placed, queries))
        queries = self.norm2(queries + self.attention(queries + places, reference, memory, shapes, keep))
        refined: Tensor = self.norm3(queries + self.contract(F.relu(self.expand(queries))))
        return refined


class Decoder(nn.Module):
    """`config.decoder_layers` layers, each with heads of its own."""

    def __init__(self, width: int, levels: int, config: DetectorConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, levels, config) for _ in range(config.decoder_layers))
        self.score = nn.ModuleList(nn.Linear(width, config.classes) for _ in self.layers)
        self.correct = nn.ModuleList(box_head(width) for _ in self.layers)
        for head in self.score:
            assert isinstance(head, nn.Linear)
            nn.init.constant_(head.bias, RARE)

    def forward(self, proposals: Proposals, memory: Tensor, extent: Extent) -> Decoded:
        """Decode.

        Args:
            proposals: what begins.
            memory: (N, S, C) of the encoder.
            extent: of the pictures.
        """
        keep = extent.keep
        ratios = torch.cat((extent.ratios, extent.ratios), dim=-1)[:, None]
        queries = proposals.content
        reference = proposals.boxes.sigmoid()
        states, references = [], [reference]
        for layer, correct in zip(self.layers, self.correct, strict=True):
            queries = layer(queries, proposals.places, reference[:, :, None] * ratios, memory, extent.shapes, keep)
            corrected = (correct(queries) + logits_of(reference)).sigmoid()
            states.append(queries)
            references.append(corrected)
            reference = corrected.detach()
        return Decoded(torch.stack(states), torch.stack(references))

    def boxes(self, decoded: Decoded) -> Tensor:
        """(D, N, Q, 4) in [0, 1]: the boxes of every layer, with the gradients that training needs."""
        corrections = torch.stack([head(states) for head, states in zip(self.correct, decoded.states, strict=True)])
        return (corrections + logits_of(decoded.references[:-1])).sigmoid()

    def scores(self, decoded: Decoded) -> Tensor:
        """(D, N, Q, classes) logits of every layer."""
        return torch.stack([head(states) for head, states in zip(self.score, decoded.states, strict=True)])
