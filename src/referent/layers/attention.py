"""Multi-head attention on `scaled_dot_product_attention`."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention with separate projections.

    Initialised as `nn.MultiheadAttention`: Xavier-uniform over the packed input projection, biases zero.

    Args:
        width: channels of the queries; also the inner width.
        heads: number of heads; divides `width`.
        memory_width: channels of keys and values; `width` by default.
        out_width: channels of the result; `width` by default.
        dropout: of the attention probabilities, in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        memory_width: int | None = None,
        out_width: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        memory_width = memory_width or width
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(memory_width, width)
        self.value = nn.Linear(memory_width, width)
        self.out = nn.Linear(width, out_width or width)
        for projection in (self.query, self.key, self.value):
            fan_out = 3 * width if memory_width == width else width
            bound = math.sqrt(6 / (projection.in_features + fan_out))
            nn.init.uniform_(projection.weight, -bound, bound)
            nn.init.zeros_(projection.bias)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, Q, width).
            key, value: (B, K, memory_width).
            keep: (B, K) bool, False where a key must not be seen; at least one True a row.
            causal: position i sees keys 0 .. i only; not together with `keep`.

        Returns:
            (B, Q, out_width).
        """
        q = self.query(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.key(key).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        v = self.value(value).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=None if keep is None else keep[:, None, None, :],
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        result: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return result

    def of_one_key(self, value: Tensor) -> Tensor:
        """What every query gets where there is exactly one key: softmax over one score is 1, whatever the score.

        Queries and keys have no influence and no gradient, so neither is computed.

        Args:
            value: (B, memory_width), of the one key.

        Returns:
            (B, out_width).
        """
        result: Tensor = self.out(self.value(value))
        return result
