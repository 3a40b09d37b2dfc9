"""MobileNetV2 and DeepLabV3 with random weights, as the public folded files write them."""

from __future__ import annotations

from torch import Tensor

from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config


def folded_names() -> dict[str, Tensor]:
    """A state dict under the public files' names, with this encoder's shapes."""
    ends = {"0": 0, "1": 3, "2": 6, "3": 13}
    names = {}
    for name, value in MobileNetV2(MobileNetV2Config()).state_dict().items():
        parts = name.split(".")
        parts.remove("convolution")
        if parts[0] == "stages":
            parts = ["blocks", str(ends[parts[1]] + int(parts[2])), *parts[3:]]
        names[".".join(["aspp" if part == "finish" else part for part in parts])] = value.half()
    return names
