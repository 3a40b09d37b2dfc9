"""UniFusion for answering on a CPU: phrases, which have few keys, are taken into its projections.

A pixel's score of a key is bilinear in both, so what the query projection makes of all pixels need not be computed: the
keys are taken back through it, and so are the values through the last projection. With K keys, C channels and D a head
this replaces C D + K D products, twice for each pixel and head, by K C. Examples, whose keys are pixels, have too many
for that. Where heads are as wide as the features, as in the released model, both projections of the keys' side are
taken to the pixels' side instead, the keys' into that of the queries and the values' into the last one: all heads then
read the same keys and values as they come. And objects that are followed through a video have the same frames for
examples, and differ in the masks on them alone, which are values: where keys are the same, which pixels look at which
is computed once for all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.fast import Norm, map_of, rows_of
from referent.layers.long_attention import IN_POWERS_OF_TWO, LongMemory, added
from referent.layers.packed import PackedLinear
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion


class FastFusion(nn.Module):
    """`UniFusion` in evaluation; maps come out channels-last.

    Args:
        fusion: on the CPU, float32.
        dtype: of the large products where examples are read; all else is float32.
    """

    def __init__(self, fusion: UniFusion, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.heads = dtype, fusion.heads
        width, inner = fusion.query.in_features, fusion.query.out_features // fusion.heads
        # So many keys are still few.
        self.few = min(width, width * inner // max(1, width - inner))
        self.feature_norm, self.key_norm = (
            Norm(norm, torch.float32) for norm in (fusion.feature_norm, fusion.key_norm)
        )
        self.key, self.value = (PackedLinear.of(layer, dtype) for layer in (fusion.key, fusion.value))
        self.modulation = PackedLinear.of(fusion.modulation, torch.float32)
        # Of each head: (heads, D, C) and (heads, D).
        self.query_weight, self.key_weight, self.value_weight = (
            layer.weight.detach().reshape(self.heads, -1, width) for layer in (fusion.query, fusion.key, fusion.value)
        )
        self.query_bias, self.value_bias = (
            layer.bias.detach().reshape(self.heads, -1) for layer in (fusion.query, fusion.value)
        )
        self.out_weight = fusion.out.weight.detach().T.reshape(self.heads, -1, width)
        self.out_bias = fusion.out.bias.detach()
        # What all pixels read beside the values themselves, as their shares add up to 1: (C,).
        self.constant = (self.value_bias[:, None] @ self.out_weight).sum((0, 1))
        self.folded = inner >= width
        asked, answered = self.query_weight.double(), self.out_weight.double()
        asked_bias = self.query_bias.double()[..., None]
        if self.folded:
            asked, asked_bias = (self.key_weight.double().transpose(1, 2) @ part for part in (asked, asked_bias))
            answered = self.value_weight.double().transpose(1, 2) @ answered
        asked, asked_bias = (part * inner**-0.5 * IN_POWERS_OF_TWO for part in (asked, asked_bias))
        # The projections of the pixels' side where examples are read, C -> E and E -> C: one a head where they are
        # folded, E being C then, else one of all, E being D a head.
        if not self.folded:
            asked, asked_bias, answered = (part.flatten(0, 1)[None] for part in (asked, asked_bias, answered))
        self.asked = [
            PackedLinear(weight.to(dtype), bias[:, 0].to(dtype), many=True)
            for weight, bias in zip(asked, asked_bias, strict=True)
        ]
        self.answered = [PackedLinear(weight.T.to(dtype), None, many=True) for weight in answered]

    def forward(self, features: Tensor, *references: ReferenceBundle) -> Tensor:
        """As `UniFusion.forward`."""
        pixels = rows_of(features.contiguous(memory_format=torch.channels_last))
        normed = self.feature_norm(pixels)
        fused = pixels
        for reference in references:
            given = reference.keep.any(1, keepdim=True)
            keep = reference.keep | ~given  # a softmax over nothing is undefined
            shift, scale, gate = self.modulation(F.silu(reference.pooled)).mul(given).chunk(3, dim=-1)
            factor, constant = gate * (1 + scale), gate * shift
            read = self._read_few if reference.keys.shape[1] <= self.few else self._read_many
            fused = read(fused, normed, reference, keep, factor) + (constant + factor * self.out_bias)[:, None]
        return map_of(fused, *features.shape[-2:])

    def _read_few(
        self, fused: Tensor, normed: Tensor, reference: ReferenceBundle, keep: Tensor, factor: Tensor
    ) -> Tensor:
        """`fused` and what `normed` (N, S, C) reads of few keys, times `factor` (N, C)."""
        key, value = self._projected(reference)
        scale = key.shape[-1] ** -0.5
        asked = (key.transpose(1, 2) @ self.query_weight).flatten(1, 2).mul_(scale)  # (N, heads * K, C)
        offset = (key * self.query_bias).sum(-1).mul_(scale).transpose(1, 2)  # (N, heads, K)
        offset = offset.masked_fill(~keep[:, None], -torch.inf).flatten(1)
        scores = torch.baddbmm(offset[:, None], normed, asked.transpose(1, 2))
        shares = scores.reshape(*normed.shape[:2], self.heads, -1).softmax(-1).flatten(2)
        answered = (value.transpose(1, 2) @ self.out_weight).flatten(1, 2) * factor[:, None]
        return torch.baddbmm(fused, shares, answered)

    def _read_many(
        self, fused: Tensor, normed: Tensor, reference: ReferenceBundle, keep: Tensor, factor: Tensor
    ) -> Tensor:
        """As `_read_few`, of many keys."""
        read = torch.empty_like(fused)
        for rows in _alike(normed, reference.keys, keep):
            inside = keep[rows[0]]
            keys = self.key_norm(reference.keys[rows[0], inside])
            values = reference.values[rows].transpose(0, 1)[inside]
            together = self._read_wide if self.folded else self._read_narrow
            read[rows] = together(normed[rows[0]].to(self.dtype), keys, values).transpose(0, 1)
        return torch.addcmul(fused, read, factor[:, None])

    def _read_wide(self, pixels: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """What the same pixels (S, C) read of n references with the same keys (K, C), values (K, n, C): (S, n, C)."""
        count, width = values.shape[1:]
        read = self.constant.repeat(len(pixels) * count, 1)
        # A bias of the keys would raise all scores of a pixel alike, which softmax does not see.
        memory = LongMemory(keys, values.flatten(1), self.dtype)
        for asked, answered in zip(self.asked, self.answered, strict=True):
            own = memory.read(asked(pixels).float()).reshape(len(read), width)
            read = added(read, answered, own.to(self.dtype))
        return read.reshape(len(pixels), count, width)

    def _read_narrow(self, pixels: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """As `_read_wide`, where scores cost so little that each reference has its own."""
        count, width = values.shape[1:]
        query = self._split(self.asked[0](pixels)[None]).transpose(1, 2).expand(count, -1, -1, -1)
        key = torch.einsum("kc,hdc->hkd", keys, self.key_weight).to(self.dtype).expand(count, -1, -1, -1)
        value = torch.einsum("knc,hdc->nhkd", values, self.value_weight).to(self.dtype)
        own = F.scaled_dot_product_attention(query, key, value, scale=1 / IN_POWERS_OF_TWO)
        read = added(
            self.constant.repeat(len(pixels) * count, 1),
            self.answered[0],
            own.permute(2, 0, 1, 3).flatten(2).flatten(0, 1),
        )
        return read.reshape(len(pixels), count, width)

    def _projected(self, reference: ReferenceBundle) -> tuple[Tensor, Tensor]:
        """Keys and values, (N, K, heads, D) float32."""
        key = self.key(self.key_norm(reference.keys).to(self.dtype)).float()
        value = self.value(reference.values.to(self.dtype)).float()
        return self._split(key), self._split(value)

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:2], self.heads, -1)


def _alike(normed: Tensor, keys: Tensor, keep: Tensor) -> list[list[int]]:
    """Rows that ask the same keys about the same pixels, together."""
    groups: list[list[int]] = []
    for row in range(len(keys)):
        for group in groups:
            if all(torch.equal(part[row], part[group[0]]) for part in (keep, keys, normed)):
                group.append(row)
                break
        else:
            groups.append([row])
    return groups
