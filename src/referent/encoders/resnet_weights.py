"""ResNet's names in detectron2's layout (`stem.conv1`, `res2.0.conv1`), which detectors' checkpoints have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from referent.encoders.keymap import Row
from referent.encoders.resnet import ResNetConfig
from referent.errors import WeightsError

_PARTS = {"reduce": "conv1", "spatial": "conv2", "expand": "conv3", "shortcut": "shortcut"}


def resnet_rows(config: ResNetConfig) -> list[Row]:
    """Our names and detectron2's, without prefix."""
    rows = _convolution("stem.first.", "stem.conv1.")
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            for ours, theirs in _PARTS.items():
                rows += _convolution(f"stages.{stage}.{block}.{ours}.", f"res{stage + 2}.{block}.{theirs}.")
    return rows


def _convolution(ours: str, theirs: str) -> list[Row]:
    return [Row(f"{ours}convolution.", theirs), Row(f"{ours}norm.", f"{theirs}norm.")]


def resnet_config(state: Mapping[str, Tensor]) -> ResNetConfig:
    """The ResNet that detectron2's names and shapes describe.

    Raises:
        WeightsError: not a ResNet.
    """
    if "stem.conv1.weight" not in state:
        raise WeightsError("not a ResNet: missing stem.conv1.weight")
    depths: list[int] = []
    while blocks := {m[1] for name in state if (m := re.match(rf"res{len(depths) + 2}\.(\d+)\.", name))}:
        depths.append(len(blocks))
    if not depths:
        raise WeightsError("not a ResNet: missing res2.0.conv1.weight")
    return ResNetConfig(depths=tuple(depths), width=state["stem.conv1.weight"].shape[0])
