"""ResNet's names in detectron2's layout (`stem.conv1`, `res2.0.conv1`), which detectors' checkpoints have, and in
torchvision's (`conv1`, `layer1.0.conv1`), which classifiers have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from referent.encoders.foreign import read_foreign, state_dict_in
from referent.encoders.keymap import Row, to_ours
from referent.encoders.located import locate
from referent.encoders.resnet import ResNet, ResNetConfig
from referent.errors import WeightsError

_PARTS = {"reduce": "conv1", "spatial": "conv2", "expand": "conv3", "shortcut": "shortcut"}
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_CLASSIFIER = "fc."
_COUNTER = "num_batches_tracked"


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


def read_torchvision(source: str | Path) -> dict[str, Tensor]:
    """A classifier's ResNet under torchvision's names, without its last layer and counters.

    Args:
        source: torchvision's own file (`resnet50-0676ba61.pth`), or timm's, a folder with one, or a hub id
            (`timm/resnet50.tv_in1k`).

    Raises:
        WeightsError: not there, unsafe, or damaged.
    """
    path, _ = locate(source, _FOLDER_FILES)
    state = state_dict_in(read_foreign(path))
    return {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and not name.startswith(_CLASSIFIER) and not name.endswith(_COUNTER)
    }


def load_resnet(encoder: ResNet, source: str | Path) -> None:
    """Fills `encoder` from a classifier's weights (`read_torchvision`).

    Raises:
        WeightsError: as there, or of another ResNet; the message names what differs.
    """
    try:
        ours = to_ours(read_torchvision(source), encoder.state_dict(), _torchvision_rows(encoder.config), "ResNet")
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from None
    encoder.load_state_dict(ours)


def _torchvision_rows(config: ResNetConfig) -> list[Row]:
    rows = [Row("stem.first.convolution.", "conv1."), Row("stem.first.norm.", "bn1.")]
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            ours, theirs = f"stages.{stage}.{block}.", f"layer{stage + 1}.{block}."
            for number, part in enumerate(("reduce", "spatial", "expand"), 1):
                rows.append(Row(f"{ours}{part}.convolution.", f"{theirs}conv{number}."))
                rows.append(Row(f"{ours}{part}.norm.", f"{theirs}bn{number}."))
            rows.append(Row(f"{ours}shortcut.convolution.", f"{theirs}downsample.0."))
            rows.append(Row(f"{ours}shortcut.norm.", f"{theirs}downsample.1."))
    return rows
