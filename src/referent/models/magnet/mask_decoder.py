"""The mask decoder: one query reads, level by level, what lies under the mask that it drew before (Mask2Former's)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.attention import Attention
from referent.layers.position import normalised_sinusoids_2d
from referent.models.magnet.config import MaskDecoderConfig


class MaskDecoderLayer(nn.Module):
    """Post-norm layer: attention to the pixels under the mask, to itself, and a feed-forward part."""

    def __init__(self, width: int, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.cross_attention = Attention(width, config.heads)
        self.norm1 = nn.LayerNorm(width)
        self.self_attention = Attention(width, config.heads)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.feedforward)
        self.contract = nn.Linear(config.feedforward, width)
        self.norm3 = nn.LayerNorm(width)
        for layer in (self.cross_attention.out, self.self_attention.out, self.expand, self.contract):
            nn.init.xavier_uniform_(layer.weight)
        # One query has nobody else to look at: these two never have an influence.
        for layer in (self.self_attention.query, self.self_attention.key):
            layer.requires_grad_(False)

    def forward(self, query: Tensor, query_place: Tensor, memory: Tensor, places: Tensor, keep: Tensor) -> Tensor:
        """One layer.

        Args:
            query: (N, 1, width).
            query_place: (1, width), added to the query of attention.
            memory: (N, K, width) pixels of one level.
            places: (K, width), added to the keys.
            keep: (N, K) bool, False where the pixel is not to be seen.

        Returns:
            (N, 1, width).
        """
        read = self.cross_attention(query + query_place, memory + places, memory, keep=keep)
        query = self.norm1(query + read)
        query = self.norm2(query + self.self_attention.of_one_key(query))
        refined: Tensor = self.norm3(query + self.contract(F.relu(self.expand(query))))
        return refined


class MaskDecoder(nn.Module):
    """One learned query that becomes the kernel of the mask.

    Args:
        width: channels of everything.
        levels: number of maps that are read in turn.
        config: numbers.
    """

    def __init__(self, width: int, levels: int, config: MaskDecoderConfig) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, width))
        self.query_place = nn.Parameter(torch.randn(1, width))
        self.levels = nn.Parameter(torch.randn(levels, width))
        self.layers = nn.ModuleList(MaskDecoderLayer(width, config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.kernel = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, mask_features: Tensor, maps: list[Tensor]) -> Tensor:
        """Decode.

        Args:
            mask_features: (N, width, h, w).
            maps: (N, width, h_i, w_i), coarse to fine; layer j reads map j modulo their number.

        Returns:
            (N, 1 + layers, h, w) mask logits: of the bare query, then after each layer; the last is the answer.
        """
        memories, places, shrunk = [], [], []
        for feature_map, level in zip(maps, self.levels, strict=True):
            height, width = feature_map.shape[-2:]
            memories.append(feature_map.flatten(2).transpose(1, 2) + level)
            places.append(normalised_sinusoids_2d(height, width, feature_map.shape[1], like=feature_map))
            # A mask resized is the product with features resized: the same numbers from fewer pixels.
            shrunk.append(F.interpolate(mask_features.detach(), (height, width), mode="bilinear").flatten(2))
        query = self.query.expand(len(mask_features), 1, -1)
        kernels = [self.kernel(self.norm(query))]
        for number, layer in enumerate(self.layers):
            which = number % len(maps)
            keep = _under(kernels[-1].detach() @ shrunk[which])
            query = layer(query, self.query_place, memories[which], places[which], keep)
            kernels.append(self.kernel(self.norm(query)))
        masks = torch.cat(kernels, dim=1) @ mask_features.flatten(2)
        return masks.reshape(*masks.shape[:2], *mask_features.shape[-2:])


def _under(mask: Tensor) -> Tensor:
    """(N, 1, K) mask logits -> (N, K) bool: pixels under the mask; all where there are none."""
    keep = mask[:, 0].sigmoid() >= 0.5
    return keep | ~keep.any(1, keepdim=True)
