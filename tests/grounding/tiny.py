"""CLIPs small enough for tests, with random weights, and a picture to look at."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image

from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.clip_weights import CLIPWeights

TEXT = CLIPTextConfig(width=64, layers=1, heads=1, embed=16)
BOXES = np.array([[3.2, 4.6, 20.5, 17.9], [30.5, 10.5, 12, 9], [0, 0, 64, 48], [40, 2, 20, 40]])


@cache
def _weights(config: CLIPResNetConfig | CLIPViTConfig, seed: int) -> CLIPWeights:
    torch.manual_seed(seed)
    image = CLIPResNet(config) if isinstance(config, CLIPResNetConfig) else CLIPViT(config)
    return CLIPWeights(config, TEXT, image.state_dict(), CLIPTextEncoder(TEXT).state_dict())


def resnet(seed: int = 0) -> CLIPPair:
    """CLIP's ResNet at 64 pixels."""
    return CLIPPair(_weights(CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2), seed), "rn")


def vit(seed: int = 0) -> CLIPPair:
    """CLIP's vision transformer at 32 pixels."""
    return CLIPPair(_weights(CLIPViTConfig(patch=8, width=64, depths=(1, 1), embed=16, grid=4), seed), "vit")


def picture(width: int = 64, height: int = 48) -> Image.Image:
    """The picture of the official isolation fixtures, at 64 x 48."""
    y, x, channel = np.ogrid[:height, :width, :3]
    return Image.fromarray(((37 * x + 91 * y * (channel + 1) + 13 * x * y) % 256).astype(np.uint8))
