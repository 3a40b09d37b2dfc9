"""Masks: features at stride 4, and a small network for each query that reads them (Tian et al., "CondInst", ECCV 2020).

Shape letters: N references, C channels, K masks a reference, h x w the map at stride 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.unirefpp.heads import Perceptron

CHANNELS = 8
"""Of the mask features, and inside the small network (the published number)."""
STRIDE = 4
_LAYERS = ((CHANNELS + 2, CHANNELS), (CHANNELS, CHANNELS), (CHANNELS, 1))
_WEIGHTS = [inside * outside for inside, outside in _LAYERS]
_BIASES = [outside for _, outside in _LAYERS]


class MaskFeatures(nn.Module):
    """The encoder's three finer levels and the image encoder's first stage to 8 channels at stride 4.

    Args:
        width: C.
        finest: channels of the image encoder's first stage.
    """

    def __init__(self, width: int, finest: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))  # coarse to fine
        self.narrow = nn.Conv2d(width, width // 4, 3, padding=1)
        self.narrower = nn.Conv2d(width // 4, CHANNELS, 3, padding=1)
        self.lateral = nn.Conv2d(finest, CHANNELS, 1)
        self.smooth = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.out = nn.Conv2d(CHANNELS, CHANNELS, 1)
        for layer in (*self.levels, self.narrow, self.narrower, self.lateral, self.smooth):
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)

    def forward(self, maps: list[Tensor], finest: Tensor) -> Tensor:
        """Compute.

        Args:
            maps: (N, C, ., .) at strides 8, 16 and 32.
            finest: (N, finest, h, w), which no reference has entered.

        Returns:
            (N, 8, h, w).
        """
        x = F.relu(self.levels[0](maps[2]))
        for convolution, level in zip(self.levels[1:], (maps[1], maps[0]), strict=True):
            x = F.relu(convolution(level + F.interpolate(x, level.shape[-2:], mode="nearest")))
        x = F.relu(self.narrower(F.relu(self.narrow(x))))
        grown = F.interpolate(x, finest.shape[-2:], mode="bilinear", align_corners=False)
        features: Tensor = self.out(F.relu(self.smooth(self.lateral(finest) + grown)))
        return features


class MaskHead(nn.Module):
    """A query's state to the weights of its own network, and that network on the mask features.

    Args:
        width: C.
        unit: pixels, in which distances are counted.
    """

    def __init__(self, width: int, unit: float = 1.0) -> None:
        super().__init__()
        self.unit = unit
        self.controller = Perceptron(width, width, width, sum(_WEIGHTS) + sum(_BIASES))
        for layer in self.controller.layers:
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor, centres: Tensor, features: Tensor) -> Tensor:
        """Masks of some queries only; nothing depends on the others.

        Args:
            states: (N, K, C).
            centres: (N, K, 2), (x, y) in pixels of the picture, from which each network counts distances.
            features: (N, 8, h, w).

        Returns:
            (N, K, h, w) logits.
        """
        references, count, height, width = *states.shape[:2], *features.shape[-2:]
        parameters = self.controller(states).split([*_WEIGHTS, *_BIASES], dim=-1)
        x = torch.cat(
            (
                (_distances(centres, height, width) / self.unit).to(features.dtype),
                features[:, None].expand(-1, count, -1, -1, -1).flatten(3),
            ),
            dim=2,
        )
        for number, (inside, outside) in enumerate(_LAYERS):
            weight = parameters[number].reshape(references, count, outside, inside)
            bias = parameters[number + len(_LAYERS)][..., None]
            x = weight @ (F.relu(x) if number else x) + bias
        return x.reshape(references, count, height, width)


def finely(masks: Tensor, factor: int) -> Tensor:
    """(P, h, w) -> (P, factor * h, factor * w), bilinear with the first pixel's centre half a coarse pixel inside.

    CondInst's "aligned bilinear", which is neither of torch's two.
    """
    height, width = masks.shape[-2:]
    x = F.pad(masks[:, None], (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, (factor * height + 1, factor * width + 1), mode="bilinear", align_corners=True)
    x = F.pad(x, (factor // 2, 0, factor // 2, 0), mode="replicate")
    return x[:, 0, : factor * height, : factor * width]


def _distances(centres: Tensor, height: int, width: int) -> Tensor:
    """(N, K, 2, height * width): from each pixel's centre to the query's, x then y, in pixels of the picture."""
    x = torch.arange(width, device=centres.device) * STRIDE + STRIDE // 2
    y = torch.arange(height, device=centres.device) * STRIDE + STRIDE // 2
    across = (centres[..., :1] - x)[:, :, None].expand(-1, -1, height, -1)
    down = (centres[..., 1:] - y)[..., None].expand(-1, -1, -1, width)
    return torch.stack((across, down), dim=2).flatten(3)
