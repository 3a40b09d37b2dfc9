"""Attention of very many queries on very many keys, for answering on a CPU: as few large matrix products as there are.

The scores of some queries are made, raised and read key block by key block while they lie in the caches, as Milakov and
Gimelshein's online softmax (2018) has it. Products of this size reach the rate of the machine, which the blocks inside
`scaled_dot_product_attention` do not.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

QUERIES_AT_ONCE, KEYS_AT_ONCE = 768, 1024
"""The scores of a block, 3 MiB, stay in the caches; smaller ones would make the products slower."""
IN_POWERS_OF_TWO = math.log2(math.e)
"""By which scores are multiplied so that 2 ** score is their exponential."""
_SURELY_SMALL = 60.0
"""Powers of two up to which neither the sum of all keys nor the smallest of them leaves float32."""


def read(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For each query the mean of all values, weighed by 2 ** (query . key).

    Args:
        query: (Q, D) float32, with any scale and `IN_POWERS_OF_TWO` in it.
        key: (D, K) float32, K > 0; contiguous ones are read fastest.
        value: (K, V) float32.

    Returns:
        (Q, V).
    """
    scores = query.new_empty(min(QUERIES_AT_ONCE, len(query)), min(KEYS_AT_ONCE, key.shape[1]))
    # By Cauchy and Schwarz; where it holds, no largest score has to be looked for and taken off.
    small = bool(query.norm(dim=1).amax() * key.norm(dim=0).amax() < _SURELY_SMALL)
    result = query.new_empty(len(query), value.shape[1])
    for some, into in zip(torch.split(query, QUERIES_AT_ONCE), torch.split(result, QUERIES_AT_ONCE), strict=True):
        _read_some(some, key, value, None if small else some.new_full((len(some), 1), -torch.inf), scores, into)
    return result


def _read_some(
    query: Tensor, key: Tensor, value: Tensor, largest: Tensor | None, scores: Tensor, result: Tensor
) -> None:
    """As `read`, of one block of queries into `result`; `largest` is that of the scores so far, where it is needed."""
    total = query.new_zeros(len(query), 1)
    for first in range(0, key.shape[1], KEYS_AT_ONCE):
        keys = key[:, first : first + KEYS_AT_ONCE]
        shares = torch.mm(query, keys, out=scores[: len(query), : keys.shape[1]])
        if largest is not None:
            before, largest = largest, torch.maximum(largest, shares.amax(1, keepdim=True))
            shares -= largest
            if first:
                faded = torch.exp2(before - largest)
                total *= faded
                result *= faded
        total += shares.exp2_().sum(1, keepdim=True)
        values = value[first : first + KEYS_AT_ONCE]
        if first:
            result.addmm_(shares, values)
        else:
            torch.mm(shares, values, out=result)
    result /= total
