"""CRIS's cross-modal decoder: pixels attend to each other and to the words (CRIS section 3.3; ETRIS uses it too)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from referent.layers.attention import Attention
from referent.layers.position import sinusoids, sinusoids_2d


class DecoderConfig(BaseModel):
    """The decoder. The defaults are CRIS's.

    Attributes:
        layers, heads: their numbers.
        feedforward: inner width of the feed-forward parts.
        dropout: everywhere in the decoder, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=8, ge=1)
    feedforward: int = Field(default=2048, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class DecoderLayer(nn.Module):
    """Pre-norm layer with a further LayerNorm on each attention's output and inside the feed-forward part."""

    def __init__(self, width: int, word_width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads, dropout=dropout)
        self.self_attention_norm = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, memory_width=word_width, dropout=dropout)
        self.cross_attention_norm = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward)
        self.feedforward_norm = nn.LayerNorm(feedforward)
        self.contract = nn.Linear(feedforward, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pixels: Tensor, words: Tensor, keep: Tensor, pixel_places: Tensor, word_places: Tensor) -> Tensor:
        """One layer.

        Args:
            pixels: (N, h * w, width).
            words: (N, L, word_width).
            keep: (N, L) bool, False at padding.
            pixel_places: (h * w, width) encodings, added to queries and keys but not to values.
            word_places: (L, word_width).

        Returns:
            (N, h * w, width).
        """
        y = self.norm1(pixels)
        placed = y + pixel_places
        attended = self.self_attention(placed, placed, y)
        pixels = pixels + self.dropout(self.self_attention_norm(attended))
        y = self.norm2(pixels)
        attended = self.cross_attention(y + pixel_places, words + word_places, words, keep=keep)
        pixels = pixels + self.dropout(self.cross_attention_norm(attended))
        y = self.dropout(F.relu(self.expand(self.norm3(pixels))))
        refined: Tensor = pixels + self.dropout(self.contract(self.feedforward_norm(y)))
        return refined


class Decoder(nn.Module):
    """`layers` decoder layers and a final norm."""

    def __init__(
        self, width: int, word_width: int, *, layers: int, heads: int, feedforward: int, dropout: float
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, word_width, heads, feedforward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, feature_map: Tensor, words: Tensor, keep: Tensor) -> Tensor:
        """Let the pixels of each map read the words of its phrase.

        Args:
            feature_map: (N, width, h, w).
            words: (N, L, word_width).
            keep: (N, L) bool, False at padding.

        Returns:
            (N, width, h, w).
        """
        _, channels, height, width = feature_map.shape
        pixel_places = sinusoids_2d(height, width, channels, like=feature_map)
        word_places = sinusoids(words.shape[1], words.shape[2], like=words)
        pixels = feature_map.flatten(2).transpose(1, 2)
        for layer in self.layers:
            pixels = layer(pixels, words, keep, pixel_places, word_places)
        normed: Tensor = self.norm(pixels)
        return normed.transpose(1, 2).reshape(-1, channels, height, width)
