"""The Bridger (ETRIS section 3.2): between two stages, a picture's map and its phrase's words read each other."""

from __future__ import annotations

from torch import Tensor, nn

from referent.models.etris.config import BridgerConfig
from referent.models.etris.interactor import BlockInteractor, ProductInteractor
from referent.models.etris.zoom import Way, zoom

# Attention keeps its own start for these; the released code starts every other linear layer of a Bridger alike.
_PROJECTIONS = ("query", "key", "value")
_STD = 0.02


class Bridger(nn.Module):
    """One Bridger.

    Args:
        config: of all Bridgers.
        channels: of the image stage's map.
        word_width: channels of a word feature.
        way, ratio: how the map's sides change on the way to the resolution at which all Bridgers work.
        first: whether no Bridger comes before this one.
    """

    def __init__(
        self, config: BridgerConfig, channels: int, word_width: int, way: Way, ratio: int, *, first: bool
    ) -> None:
        super().__init__()
        width = config.width
        back: Way = "enlarge" if way == "shrink" else "shrink"
        self.way, self.ratio = way, ratio
        self.zoom_in = zoom(channels, width, way, ratio, learned=config.zoom_in, norm=config.zoom_norm)
        self.zoom_out = zoom(width, channels, back, ratio, learned=config.zoom_out, norm=config.zoom_norm)
        self.words_in = nn.Linear(word_width, width)
        self.words_out = nn.Linear(width, word_width)
        self.pixel_norm = None if first else nn.LayerNorm(width)
        self.word_norm = None if first else nn.LayerNorm(width)
        self.pixel_interactor = _interactor(config)
        self.word_interactor = _interactor(config)
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and not name.endswith(_PROJECTIONS):
                nn.init.normal_(module.weight, std=_STD)
                nn.init.zeros_(module.bias)

    def look(self, feature_map: Tensor, previous: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The picture's side, which for the first Bridger depends on the picture alone.

        Args:
            feature_map: (B, channels, h, w).
            previous: (B, P, width), the pixels of the Bridger before this one; None for the first.

        Returns:
            The pixels at the common resolution (B, P, width), and the same after what they do among themselves.
        """
        pixels = self.zoom_in(feature_map).flatten(2).transpose(1, 2)
        if self.pixel_norm is not None:
            pixels = self.pixel_norm(pixels + previous)
        return pixels, self.pixel_interactor.settle(pixels)

    def forward(
        self, feature_map: Tensor, words: Tensor, seen: tuple[Tensor, Tensor], previous: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let pixels and words read each other, both as they came in, and add to each what it has read.

        The words include padding, which is not masked: the released code reads it too.

        Args:
            feature_map: (N, channels, h, w).
            words: (N, L, word_width).
            seen: what `look` returned, one row a phrase.
            previous: (N, L, width), the words inside the Bridger before this one; None for the first.

        Returns:
            The changed map and words, and the words inside this Bridger, for the next one.
        """
        pixels, settled = seen
        inside = self.words_in(words)
        if self.word_norm is not None:
            inside = self.word_norm(inside + previous)
        read_by_pixels = self.pixel_interactor(settled, inside)
        read_by_words = self.word_interactor(self.word_interactor.settle(inside), pixels)
        back = read_by_pixels.transpose(1, 2).reshape(len(words), -1, *self.met(*feature_map.shape[-2:]))
        return feature_map + self.zoom_out(back), words + self.words_out(read_by_words), inside

    def met(self, height: int, width: int) -> tuple[int, int]:
        """Sides at the common resolution of a map of these sides."""
        if self.way == "shrink":
            return height // self.ratio, width // self.ratio
        return height * self.ratio, width * self.ratio


def _interactor(config: BridgerConfig) -> BlockInteractor | ProductInteractor:
    if config.interactor == "block":
        return BlockInteractor(config.width, config.heads, config.feedforward, config.dropout)
    return ProductInteractor(config.width, config.heads)
