"""What the mask encoder starts from: a ResNet-18 that has learnt to classify pictures."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from referent.encoders.resnet_weights import read_torchvision
from referent.errors import WeightsError
from referent.models.unirefpp.mask_encoder import MaskResNet

_PICTURE = 3
_NAMES = (
    (r"^stem\.", "conv1."),
    (r"^stem_norm\.", "bn1."),
    (r"\.norm([12])\.", r".bn\1."),
    (r"\.shortcut\.", ".downsample."),
)


def load_torchvision(encoder: MaskResNet, source: str | Path) -> None:
    """Fills the ResNet from a classifier's weights, as the official code does.

    The channel of the mask keeps its orthogonal start, convolutions get biases of zero, and what is no part of a
    ResNet stays as it is.

    Args:
        encoder: changed in place.
        source: as `read_torchvision` takes it.

    Raises:
        WeightsError: as there, or not a ResNet of these blocks; the message names the first tensor that differs.
    """
    theirs, own = read_torchvision(source), encoder.state_dict()
    filled: dict[str, Tensor] = {}
    for name in own:
        if not name.startswith(("stem", "stages.")) or name.endswith("num_batches_tracked"):
            continue
        named = _torchvision_name(name)
        if named in theirs:
            filled[name] = _fitting(theirs[named], own[name], f"{source}: {named}")
        elif name.endswith(".bias"):
            filled[name] = torch.zeros_like(own[name])
        else:
            raise WeightsError(f"{source}: expected a ResNet of basic blocks as torchvision names it, without {named}")
    encoder.load_state_dict(own | filled)


def _torchvision_name(name: str) -> str:
    if found := re.match(r"stages\.(\d+)\.", name):
        name = f"layer{int(found[1]) + 1}.{name[found.end() :]}"
    for pattern, theirs in _NAMES:
        name = re.sub(pattern, theirs, name)
    return name


def _fitting(value: Tensor, own: Tensor, where: str) -> Tensor:
    if value.dim() == 4 and value.shape[1] == _PICTURE and own.shape[1] == _PICTURE + 1:
        value = torch.cat((value.to(own.dtype), own[:, _PICTURE:]), dim=1)
    if value.shape != own.shape:
        raise WeightsError(f"{where} is {tuple(value.shape)}, expected {tuple(own.shape)}")
    return value.to(own.dtype)
