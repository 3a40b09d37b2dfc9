"""Encoders turn pixels or tokens into features, in stages, so that models can fuse between stages or after them.

One loop serves every encoder:

    flow = encoder.stem(image)
    for stage in encoder.stages:
        flow = stage(flow)
        flow = encoder.put_map(flow, encoder.get_map(flow) + something_from_the_text)   # ETRIS, MagNet
    final = encoder.finish(flow)

What passes between stages (`flow`) is the encoder's own business: a map for most, a map and a class token for a ViT.
`get_map` and `put_map` read and replace the map in it, `parts` and `whole` take it apart into tensors and back, for
models that keep it between pictures and phrases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Pixels to maps.

    Attributes:
        stem: image (B, 3, H, W) -> flow.
        stages: flow -> flow, one module a stage.
        finish: the last flow -> the final map (B, channels[-1], h, w); `nn.Identity` where nothing is left to do.
        channels: channels of each stage's map, the last one after `finish`.
        widths: channels of each stage's map as `get_map` reads it, the last one before `finish`.
        strides: picture pixels per map pixel, for each stage's map.
    """

    stem: nn.Module
    stages: nn.ModuleList
    finish: nn.Module
    channels: tuple[int, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]

    def get_map(self, flow: Any) -> Tensor:
        """The (B, C, h, w) map inside what a stage returned."""
        result: Tensor = flow
        return result

    def put_map(self, flow: Any, feature_map: Tensor) -> Any:
        """`flow` with its map replaced by `feature_map` of the same shape."""
        return feature_map

    def parts(self, flow: Any) -> tuple[Tensor, ...]:
        """The tensors of a flow, each with one row a picture."""
        return flow if isinstance(flow, tuple) else (flow,)

    def whole(self, parts: Sequence[Tensor]) -> Any:
        """The flow that has these `parts`."""
        return parts[0] if len(parts) == 1 else tuple(parts)

    def forward(self, image: Tensor) -> list[Tensor]:
        """The maps of all stages, without fusion.

        Args:
            image: (B, 3, H, W) float, normalised; H and W multiples of `strides[-1]`.

        Returns:
            One (B, channels[i], H / strides[i], W / strides[i]) map a stage, the last one finished.
        """
        flow: Any = self.stem(image)
        maps: list[Tensor] = []
        for stage in self.stages:
            flow = stage(flow)
            maps.append(self.get_map(flow))
        maps[-1] = self.finish(flow)
        return maps


class TextEncoder(nn.Module, ABC):
    """Tokens to word features and one sentence state.

    As with pictures, what passes between layers (`flow`) is the encoder's own business: the words for CLIP, the words
    and which of them are padding for BERT. `get_words` and `put_words` read and replace the words in it.

    Attributes:
        layers: flow -> flow, one module a layer.
        width: D, channels of a word feature.
        state_width: E, channels of the sentence state.
        rows: rows of the table of tokens; fewer than there are ids where the table is reduced.
        mask_id: the id that stands for a hidden word.
        special_ids: ids that are markers and no part of a word; 0, the padding, goes without saying.
    """

    layers: nn.ModuleList
    width: int
    state_width: int
    rows: int
    mask_id: int
    special_ids: tuple[int, ...]

    @abstractmethod
    def embed(self, tokens: Tensor) -> Any:
        """(N, L) int64 ids -> the flow that the first layer takes."""

    @abstractmethod
    def finish(self, flow: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's flow -> words (N, L, D), state (N, E)."""

    @abstractmethod
    def rows_of(self, tokens: Tensor) -> Tensor:
        """(N, L) int64 ids -> (N, L) int64 rows of the table, each below `rows`."""

    def get_words(self, flow: Any) -> Tensor:
        """The (N, L, D) words inside what a layer returned."""
        result: Tensor = flow
        return result

    def put_words(self, flow: Any, words: Tensor) -> Any:
        """`flow` with its words replaced by `words` of the same shape."""
        return words

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) int64 ids -> words (N, L, D), state (N, E)."""
        flow: Any = self.embed(tokens)
        for layer in self.layers:
            flow = layer(flow)
        return self.finish(flow, tokens)
