"""DeepLabV3 on MobileNetV2 with its classifier: the class map that the public weights give of a photograph.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from referent import weights
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config, from_folded
from referent.errors import WeightsError


class DeepLab:
    """The frozen network. It is no module, so that what holds it neither trains nor saves it.

    Args:
        path: the public folded file, with the classifier as `logits.weight` (K, 256, 1, 1) and `logits.bias` (K,).

    Raises:
        WeightsError: no such file, or it holds something else.
    """

    def __init__(self, path: Path) -> None:
        content = read_foreign(path)
        self._network = MobileNetV2(MobileNetV2Config()).eval().requires_grad_(False)
        weights.load_into(self._network, from_folded(content), path)
        if "logits.weight" not in content or "logits.bias" not in content:
            raise WeightsError(f"{path}: expected a classifier, logits.weight and logits.bias, found none")
        self.weight: Tensor = content["logits.weight"].float()
        self.bias: Tensor = content["logits.bias"].float()

    @torch.no_grad()
    def maps(self, image: Tensor) -> list[Tensor]:
        """The network's four maps (B, C, h, w), at strides 4, 8, 16 and 16, of (B, 3, H, W) RGB in [-1, 1]."""
        maps: list[Tensor] = self._network.to(image.device)(image)
        return maps

    @torch.no_grad()
    def logits(self, image: Tensor) -> Tensor:
        """(B, K, ceil(H / 16), ceil(W / 16)) float32 of (B, 3, H, W) RGB in [-1, 1], on the picture's device."""
        weight, bias = self.weight.to(image.device), self.bias.to(image.device)
        return F.conv2d(self.maps(image)[-1], weight, bias).float()
