"""Feed-forward parts for answering on a CPU: weights packed, a few rows at a time, which then stay in the caches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from referent.layers.fast import Norm
from referent.layers.packed import PackedLinear

# Rows whose inner features, four or eight times as wide, are held at a time.
ROWS_AT_ONCE = 1024


class FastFeedForward:
    """x + contract(activation(expand(x))), normed before (Swin) or after (DETR and its kin).

    Args:
        norm, expand, contract: of the part.
        activation: between the two; None is ReLU, which is part of the first product then.
        norm_first: norm what is expanded, not the sum.
        dtype: of the two products; all else stays float32.
    """

    def __init__(
        self,
        norm: nn.LayerNorm,
        expand: nn.Linear,
        contract: nn.Linear,
        activation: Callable[[Tensor], Tensor] | None,
        norm_first: bool,
        dtype: torch.dtype,
    ) -> None:
        self.norm, self.norm_first, self.dtype = Norm(norm, torch.float32), norm_first, dtype
        self.expand = PackedLinear.of(expand, dtype, relu=activation is None, many=True)
        self.contract = PackedLinear.of(contract, dtype, many=True)
        self.activation = activation

    def __call__(self, x: Tensor) -> Tensor:
        """(..., C) float32 -> (..., C) float32."""
        rows = x.reshape(-1, x.shape[-1])
        result = torch.empty_like(rows)
        for some, into in zip(torch.split(rows, ROWS_AT_ONCE), torch.split(result, ROWS_AT_ONCE), strict=True):
            inner = self.expand((self.norm(some) if self.norm_first else some).to(self.dtype))
            own = some + self.contract(inner if self.activation is None else self.activation(inner)).float()
            into.copy_(own if self.norm_first else self.norm(own))
        return result.reshape(x.shape)
