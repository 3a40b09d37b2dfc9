"""The two interactors (ETRIS section 3.2, ITA): one modality's tokens read the other's, inside a Bridger."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.attention import Attention


class BlockInteractor(nn.Module):
    """Self-attention, cross-attention, feed-forward, each with a residual and a norm behind it.

    The paper's interactor; the released code has it for ResNets.

    Args:
        width: channels of both modalities.
        heads: attention heads.
        feedforward: inner width.
        dropout: of attention probabilities, inside the feed-forward part and of every branch.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout=dropout)
        self.cross_attention = Attention(width, heads, dropout=dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.expand = nn.Linear(width, feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def settle(self, own: Tensor) -> Tensor:
        """The part that does not depend on the other modality: (B, L, width) -> (B, L, width)."""
        settled: Tensor = self.norm1(own + self.dropout(self.self_attention(own, own, own)))
        return settled

    def forward(self, settled: Tensor, other: Tensor) -> Tensor:
        """(N, L, width) from `settle`, and the other modality's (N, K, width) as it came in -> (N, L, width)."""
        x = self.norm2(settled + self.dropout(self.cross_attention(settled, other, other)))
        fed = self.contract(self.dropout(F.relu(self.expand(x))))
        interacted: Tensor = self.norm3(x + self.dropout(fed))
        return interacted


class ProductInteractor(nn.Module):
    """One cross-attention whose result multiplies its query; no norm, no residual, no dropout.

    The released code has it for the ViT (its authors: chosen by experiment, to save parameters).

    Args:
        width: channels of both modalities.
        heads: attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.cross_attention = Attention(width, heads)

    def settle(self, own: Tensor) -> Tensor:
        """Nothing here depends on one modality alone."""
        return own

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(N, L, width), the other modality's (N, K, width) -> (N, L, width)."""
        read: Tensor = self.cross_attention(own, other, other)
        return own * read
