"""Words of the text encoder in the width of everything behind it (the authors call it the resizer)."""

from __future__ import annotations

from torch import Tensor, nn

_NORM_EPS = 1e-12


class Resizer(nn.Module):
    """Linear, norm, dropout.

    Args:
        inside: channels of a word.
        outside: channels of everything else.
        dropout: in training.
    """

    def __init__(self, inside: int, outside: int, dropout: float) -> None:
        super().__init__()
        self.project = nn.Linear(inside, outside)
        self.norm = nn.LayerNorm(outside, eps=_NORM_EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor) -> Tensor:
        """(N, L, inside) -> (N, L, outside)."""
        resized: Tensor = self.dropout(self.norm(self.project(words)))
        return resized
