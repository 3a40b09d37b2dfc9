"""UniFusion: one module that puts any reference into any feature map (UniRef++ section 3.2).

Shape letters: N references, C channels, h x w a map, K keys of a reference.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.unirefpp.config import FusionConfig


class ReferenceBundle(NamedTuple):
    """What N references of one kind look like to UniFusion: words, or the pixels of examples.

    Attributes:
        keys: (N, K, C), what is compared with the features.
        values: (N, K, C), what is read.
        keep: (N, K) bool, False at padding. A row without any True is no reference, and changes nothing.
        pooled: (N, C), from which shift, scale and gate are made.
    """

    keys: Tensor
    values: Tensor
    keep: Tensor
    pooled: Tensor

    @classmethod
    def of_words(cls, words: Tensor, keep: Tensor) -> ReferenceBundle:
        """A phrase: words (N, L, C) are keys and values; pooled is their mean (markers included)."""
        share = keep.to(words.dtype) / keep.sum(1, keepdim=True).clamp(min=1)
        return cls(words, words, keep, (words * share[..., None]).sum(1))

    @classmethod
    def of_example(cls, features: Tensor, values: Tensor, inside: Tensor) -> ReferenceBundle:
        """An example on one level: features and values (N, C, h, w), and inside (N, h, w), False at padding.

        Pooled is the mean of the whole picture: the mask has no part in it, as in the official code.
        """
        keys, keep = features.flatten(2).transpose(1, 2), inside.flatten(1)
        share = keep.to(keys.dtype) / keep.sum(1, keepdim=True)
        return cls(keys, values.flatten(2).transpose(1, 2), keep, (keys * share[..., None]).sum(1))


class UniFusion(nn.Module):
    """Pixels read a reference, and what they read is shifted, scaled and gated by the reference as a whole.

    `fused = fusion(features, reference)`, for any map and any bundle; before training the identity. One instance
    serves all levels of a pyramid and all kinds of reference.

    Args:
        width: C.
        config: heads and precision.
    """

    def __init__(self, width: int, config: FusionConfig) -> None:
        super().__init__()
        inner = config.heads * (config.head_width or width)
        self.heads, self.dropout = config.heads, config.dropout
        self.in_bfloat16 = config.bfloat16
        self.feature_norm, self.key_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width)
        self.modulation = nn.Linear(width, 3 * width)
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)
        if config.alike:
            self.key.load_state_dict(self.query.state_dict())
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, *references: ReferenceBundle) -> Tensor:
        """Fuse.

        Args:
            features: (N, C, h, w).
            references: bundles about the same N rows. Each is read by the features as they came, not one after the
                other.

        Returns:
            (N, C, h, w).
        """
        pixels = features.flatten(2).transpose(1, 2)
        query = self._split(self.query(self.feature_norm(pixels)))
        fused = pixels
        for reference in references:
            fused = fused + self._contribution(query, reference)
        return fused.transpose(1, 2).reshape(features.shape)

    def _contribution(self, query: Tensor, reference: ReferenceBundle) -> Tensor:
        """(N, heads, h * w, C) queries -> (N, h * w, C)."""
        given = reference.keep.any(1, keepdim=True)
        key = self._split(self.key(self.key_norm(reference.keys)))
        value = self._split(self.value(reference.values))  # not normed, as in the official code
        dtype = torch.bfloat16 if self.in_bfloat16 else query.dtype
        # A softmax over nothing is undefined; a row without a reference reads anything, and is then left out.
        keep = (reference.keep | ~given)[:, None, None]
        read = F.scaled_dot_product_attention(
            query.to(dtype), key.to(dtype), value.to(dtype), keep, self.dropout if self.training else 0.0
        )
        read = self.out(read.to(query.dtype).transpose(1, 2).flatten(2))
        shift, scale, gate = (part[:, None] for part in self.modulation(F.silu(reference.pooled)).chunk(3, dim=-1))
        contribution: Tensor = gate * (read * (1 + scale) + shift) * given[..., None]
        return contribution

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)
