"""Detectors' way to fit a picture: resized until its shortest side has a given length, its proportions kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Shortest:
    """The resizing of one picture size, with the same methods as `Letterbox`; no square, no border.

    Args:
        original: (height, width) of the picture in pixels, at least 1 each.
        size: of the shortest side in pixels.
        longest: which the longest side may not pass; then the shortest one is shorter.
    """

    original: tuple[int, int]
    size: int
    longest: int

    @property
    def fitted(self) -> tuple[int, int]:
        """(height, width) after the resizing, rounded as detectron2 rounds."""
        scale = min(self.size / min(self.original), self.longest / max(self.original))
        height, width = (max(1, int(side * scale + 0.5)) for side in self.original)
        return height, width

    @property
    def edges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """As `Letterbox.edges`."""
        (height, width), (own_height, own_width) = self.fitted, self.original
        return (width / own_width, height / own_height), (0.0, 0.0)

    def picture(self, pixels: NDArray[np.uint8], border: tuple[int, int, int]) -> Tensor:
        """The resized picture, by PIL's bilinear resize (antialiased where it shrinks), in whole grey levels.

        Args:
            pixels: (H, W, 3) uint8, H and W as `original`.
            border: not needed; there is none.

        Returns:
            (3, *fitted) float32 with whole values in 0..255.
        """
        resized = Image.fromarray(pixels).resize(self.fitted[::-1], Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """The mask resized by PIL's nearest neighbours: (H, W) bool to `fitted`, float32, 0 or 1."""
        resized = Image.fromarray(mask).resize(self.fitted[::-1], Image.Resampling.NEAREST)
        return torch.from_numpy(np.array(resized)).float()

    def restore(self, maps: Tensor) -> Tensor:
        """Maps over the resized picture, back on the picture, by nearest neighbours as the official UniRef++ does.

        Args:
            maps: (N, 1, h, w) float in [0, 1], any device; any h and w.

        Returns:
            (N, H, W) float32 on the same device, in [0, 1].
        """
        return F.interpolate(maps.float(), self.original, mode="nearest")[:, 0]
