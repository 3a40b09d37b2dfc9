"""LAVT's and MagNet's way to fit a picture: squashed into a square, whatever its proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Squash:
    """The change of one picture size into a square of `size` pixels, with the same methods as `Letterbox`.

    Args:
        original: (height, width) of the picture in pixels, at least 1 each.
        size: side of the square in pixels.
    """

    original: tuple[int, int]
    size: int

    @property
    def edges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """As `Letterbox.edges`."""
        height, width = self.original
        return (self.size / width, self.size / height), (0.0, 0.0)

    def picture(self, pixels: NDArray[np.uint8], border: tuple[int, int, int]) -> Tensor:
        """The picture in the square, by PIL's bilinear resize (antialiased where it shrinks), in whole grey levels.

        Args:
            pixels: (H, W, 3) uint8, H and W as `original`.
            border: not needed; a squashed picture fills the square.

        Returns:
            (3, size, size) float32 with whole values in 0..255.
        """
        resized = Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float()

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """The mask in the square by PIL's nearest resize: (H, W) bool to (size, size) float32, 0 or 1."""
        resized = Image.fromarray(mask).resize((self.size, self.size), Image.Resampling.NEAREST)
        return torch.from_numpy(np.array(resized)).float()

    def restore(self, maps: Tensor) -> Tensor:
        """Maps over the square, back on the picture; bilinear, antialiased where they shrink.

        Args:
            maps: (N, 1, h, w) float in [0, 1], any device; any h and w.

        Returns:
            (N, H, W) float32 on the same device, in [0, 1].
        """
        resized = F.interpolate(maps.float(), self.original, mode="bilinear", antialias=True)
        return resized[:, 0].clamp_(0, 1)
