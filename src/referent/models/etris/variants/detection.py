"""Detection with ETRIS: a pyramid on the bridged features and a standard head, category names as text.

The appendix says only that a pyramid is added. Maps of stages before the first Bridger are the picture's own: those
levels hear of the phrase from the coarser ones. The head is FCOS's (Tian et al., ICCV 2019), with one class, the
reference: its classifier weights are the sentence state. Ours, not the authors'.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.base import Candidates
from referent.models.etris.zoom import Resize

# FCOS: classifiers begin by expecting one object in a hundred places, so that the first steps are not spent on "no".
_PRIOR = 0.01
# Groups of its group norms.
_GROUPS = 8
# Bound of a side's exponent: a thousand neighbours away.
_LONGEST = math.log(1000)


class BoxHeadConfig(BaseModel):
    """The pyramid and the head.

    Attributes:
        width: channels of both.
        layers: convolutions of each of the head's two towers (FCOS: 4).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=128, ge=_GROUPS, multiple_of=_GROUPS)
    layers: int = Field(default=2, ge=1)


class Pyramid(nn.Module):
    """A feature pyramid (Lin et al., CVPR 2017) of three levels, each with half the resolution of the one before.

    Maps of a ViT, which all have one stride, are first resized to these levels.

    Args:
        channels, strides: of the three maps that it takes, fine to coarse; the middle stride is the middle level's.
        width: channels of its levels.
    """

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.strides = (strides[1] // 2, strides[1], 2 * strides[1])
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(count, width, 1),
                Resize("shrink", wanted // stride) if wanted > stride else Resize("enlarge", stride // wanted),
            )
            for count, stride, wanted in zip(channels, strides, self.strides, strict=True)
        )
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Three (N, channels, h, w) maps to three (N, width, h', w') levels, fine to coarse."""
        levels = [lateral(one) for lateral, one in zip(self.laterals, maps, strict=True)]
        for finer in (1, 0):
            levels[finer] = levels[finer] + F.interpolate(levels[finer + 1], levels[finer].shape[-2:])
        return [smooth(level) for smooth, level in zip(self.smooth, levels, strict=True)]


class BoxHead(nn.Module):
    """The neck's maps and the sentence state to candidate boxes.

    Args:
        config: widths.
        channels, strides: of the maps.
        state_width: channels of the sentence state.
    """

    def __init__(
        self, config: BoxHeadConfig, channels: tuple[int, ...], strides: tuple[int, ...], state_width: int
    ) -> None:
        super().__init__()
        width = config.width
        self.pyramid = Pyramid(channels, strides, width)
        self.what, self.where = _tower(width, config.layers), _tower(width, config.layers)
        self.classifier = nn.Linear(state_width, width)
        self.bias = nn.Parameter(torch.tensor(-math.log(1 / _PRIOR - 1)))
        self.sides = nn.Conv2d(width, 4, 3, padding=1)
        self.centre = nn.Conv2d(width, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(strides)))
        nn.init.normal_(self.sides.weight, std=0.01)
        nn.init.zeros_(self.sides.bias)  # type: ignore[arg-type]

    def forward(self, maps: list[Tensor], state: Tensor) -> Candidates:
        """Candidates at every place of every level.

        Args:
            maps: three (N, channels, h, w).
            state: (N, state_width).
        """
        weights = self.classifier(state) / math.sqrt(self.classifier.out_features)
        scores, centres, corners, places = [], [], [], []
        for level, stride, scale in zip(self.pyramid(maps), self.pyramid.strides, self.scales, strict=True):
            located = self.where(level)
            here = _places(level.shape[-2], level.shape[-1], stride, level.device)
            scores.append(torch.einsum("nchw,nc->nhw", self.what(level), weights).flatten(1) + self.bias)
            centres.append(self.centre(located).flatten(1))
            # Pixels of a picture are more than bfloat16 can count.
            exponents = (scale * self.sides(located)).float().flatten(2).transpose(1, 2).clamp(max=_LONGEST)
            left, top, right, bottom = (stride * exponents.exp()).unbind(2)
            x, y = here[:, 0], here[:, 1]
            corners.append(torch.stack((x - left, y - top, x + right, y + bottom), dim=2))
            places.append(here)
        return Candidates(torch.cat(corners, 1), torch.cat(scores, 1), torch.cat(centres, 1), torch.cat(places))


def _tower(width: int, layers: int) -> nn.Sequential:
    blocks = (
        (nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(_GROUPS, width), nn.ReLU())
        for _ in range(layers)
    )
    return nn.Sequential(*(layer for block in blocks for layer in block))


def _places(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """(height * width, 3): x and y of every place's middle in pixels of the picture, and the stride."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    middle = torch.stack((x.flatten(), y.flatten()), dim=1) * float(stride) + stride / 2
    return F.pad(middle, (0, 1), value=float(stride))
