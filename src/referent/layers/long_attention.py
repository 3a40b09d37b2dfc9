"""Attention of very many queries on very many keys, for answering on a CPU: as few large matrix products as there are.

The scores of some queries are made, raised and read key block by key block while they lie in the caches, as Milakov and
Gimelshein's online softmax (2018) has it. Products of this size on packed keys reach the rate of the machine, which the
blocks inside `scaled_dot_product_attention` do not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from referent.layers.packed import PackedLinear

QUERIES_AT_ONCE, KEYS_AT_ONCE = 768, 1024
"""The scores of a block, 3 MiB in float32, stay in the caches; smaller ones would make the products slower."""
IN_POWERS_OF_TWO = math.log2(math.e)
"""By which scores are multiplied so that 2 ** score is their exponential."""
_SURELY_SMALL = 60.0
"""Powers of two up to which neither the sum of all keys nor the smallest of them leaves float32."""


class LongMemory:
    """Keys and values, packed once, for any number of queries to read.

    Keys are centred: softmax does not see what is taken off all scores of a query alike, and what bfloat16 rounds off
    the others is smaller then.

    Args:
        key: (K, D) float32, K > 0.
        value: (K, V) float32.
        dtype: of the products, float32 or bfloat16.
    """

    def __init__(self, key: Tensor, value: Tensor, dtype: torch.dtype) -> None:
        self.dtype, self.width = dtype, value.shape[1]
        key = key - key.mean(0)
        self.longest = float(key.norm(dim=1).amax())
        self.blocks = [
            (PackedLinear(keys.to(dtype), None, many=True), PackedLinear(values.to(dtype).T, None, many=True))
            for keys, values in zip(torch.split(key, KEYS_AT_ONCE), torch.split(value, KEYS_AT_ONCE), strict=True)
        ]

    def read(self, query: Tensor) -> Tensor:
        """For each query the mean of all values, weighed by 2 ** (query . key).

        Args:
            query: (Q, D) float32, with any scale and `IN_POWERS_OF_TWO` in it.

        Returns:
            (Q, V) float32.
        """
        # By Cauchy and Schwarz; where it holds, no largest score has to be looked for and taken off.
        small = float(query.norm(dim=1).amax()) * self.longest < _SURELY_SMALL
        return torch.cat([self._read(some, small) for some in torch.split(query, QUERIES_AT_ONCE)])

    def _read(self, query: Tensor, small: bool) -> Tensor:
        result, total = query.new_zeros(len(query), self.width), query.new_zeros(len(query), 1)
        largest = query.new_full((len(query), 1), -torch.inf)
        query = query.to(self.dtype)
        for keys, values in self.blocks:
            shares = keys(query)
            if not small:
                before, largest = largest, torch.maximum(largest, shares.amax(1, keepdim=True))
                shares -= largest
                faded = torch.exp2(before - largest)
                total *= faded
                result *= faded
            total += shares.exp2_().sum(1, keepdim=True, dtype=torch.float32)
            result = added(result, values, shares)
        return result.div_(total)


def added(total: Tensor, layer: PackedLinear, x: Tensor) -> Tensor:
    """`total` (N, O) float32 and what `layer` makes of x (N, I), in the layer's dtype; `total` may be written over."""
    return layer(x, total) if x.dtype == total.dtype else total.add_(layer(x))
