"""Encoders turn pixels or tokens into features, in stages, so that models can fuse between stages or after them.

One loop serves every encoder:

    flow = encoder.stem(image)
    for stage in encoder.stages:
        flow = stage(flow)
        flow = encoder.put_map(flow, encoder.get_map(flow) + something_from_the_text)   # ETRIS, MagNet
    final = encoder.finish(flow)

What passes between stages (`flow`) is the encoder's own business: a map for most, a map and a class token for a ViT.
`get_map` and `put_map` read and replace the map in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Pixels to maps.

    Attributes:
        stem: image (B, 3, H, W) -> flow.
        stages: flow -> flow, one module a stage.
        finish: the last flow -> the final map (B, channels[-1], h, w); `nn.Identity` where nothing is left to do.
        channels: channels of each stage's map, the last one after `finish`.
        strides: picture pixels per map pixel, for each stage's map.
    """

    stem: nn.Module
    stages: nn.ModuleList
    finish: nn.Module
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def get_map(self, flow: Any) -> Tensor:
        """The (B, C, h, w) map inside what a stage returned."""
        result: Tensor = flow
        return result

    def put_map(self, flow: Any, feature_map: Tensor) -> Any:
        """`flow` with its map replaced by `feature_map` of the same shape."""
        return feature_map

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

    Attributes:
        layers: (N, L, width) -> (N, L, width), one module a layer.
        width: D, channels of a word feature.
        state_width: E, channels of the sentence state.
    """

    layers: nn.ModuleList
    width: int
    state_width: int

    @abstractmethod
    def embed(self, tokens: Tensor) -> Tensor:
        """(N, L) int64 ids -> (N, L, D) what the first layer takes."""

    @abstractmethod
    def finish(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The last layer's (N, L, D) -> words (N, L, D), state (N, E)."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) int64 ids -> words (N, L, D), state (N, E)."""
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.finish(x, tokens)
