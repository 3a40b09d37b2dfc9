"""ETRIS's hierarchical alignment (section 3.3): three maps, each gated by the sentence, become one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.layers.attention import Attention
from referent.layers.convolution import conv_bn_relu, with_coordinates
from referent.models.etris.config import NeckConfig
from referent.models.etris.zoom import Way, zooming


class Neck(nn.Module):
    """Three maps and a sentence state to one map.

    The paper lets every pixel attend to the sentence. That is one key, so softmax gives it weight 1 and each map is
    multiplied by the same vector at every pixel. It is computed as that: a gate. The query and key projections, which
    cannot matter, are kept for official weights and not trained.

    Args:
        config: stages and width.
        channels: of the three maps.
        ways, ratios: how the three maps' sides change on the way to the middle one's.
        state_width: channels of the sentence state.
    """

    def __init__(
        self,
        config: NeckConfig,
        channels: tuple[int, ...],
        ways: tuple[Way, ...],
        ratios: tuple[int, ...],
        state_width: int,
    ) -> None:
        super().__init__()
        width = config.width
        self.projects = nn.ModuleList(
            nn.Sequential(zooming(count, width, way, ratio), nn.BatchNorm2d(width), nn.ReLU())
            for count, way, ratio in zip(channels, ways, ratios, strict=True)
        )
        self.text = nn.Linear(state_width, width) if config.hierarchical else None
        self.gates = nn.ModuleList(Attention(width, config.heads) for _ in channels if config.hierarchical)
        for gate in self.gates:
            for unused in (gate.query, gate.key):
                unused.requires_grad_(False)
        self.aggregate = conv_bn_relu(3 * width, width, 1)
        self.place = conv_bn_relu(width + 2, width)
        self.settle = conv_bn_relu(width, width)

    def project(self, number: int, feature_map: Tensor) -> Tensor:
        """Map `number` of the three, at the common resolution: (B, channels, h, w) -> (B, width, h_4, w_4)."""
        projected: Tensor = self.projects[number](feature_map)
        return projected

    def forward(self, maps: list[Tensor], state: Tensor) -> Tensor:
        """Merge.

        Args:
            maps: what `project` returned for the three maps, one row a phrase.
            state: (N, state_width).

        Returns:
            (N, width, h_4, w_4).
        """
        if self.text is not None:
            sentence = self.text(state)
            gates = [gate.of_one_key(sentence) for gate in self.gates]  # type: ignore[operator]
            maps = [feature_map * gate[:, :, None, None] for feature_map, gate in zip(maps, gates, strict=True)]
        merged = self.aggregate(torch.cat(maps, dim=1))
        settled: Tensor = self.settle(self.place(with_coordinates(merged)))
        return settled
