"""Positional encodings: sinusoids of positions, and learned tables resized to the picture."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_BASE = 10000.0  # Vaswani et al. 2017, section 3.5


def sinusoids(length: int, width: int, *, like: Tensor) -> Tensor:
    """(length, width) encodings of the positions 0 .. length - 1, on the device and in the dtype of `like`.

    `width` is even. Channel 2i is sin(p * 10000^(-2i / width)), channel 2i + 1 the cosine.
    """
    position = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    exponent = torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width
    angle = position * torch.pow(_BASE, -exponent)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)


def sinusoids_2d(height: int, width: int, channels: int, *, like: Tensor) -> Tensor:
    """(height * width, channels) encodings in row-major order; `channels` a multiple of 4.

    The first half of the channels encodes the column, the second half the row.
    """
    columns = sinusoids(width, channels // 2, like=like)
    rows = sinusoids(height, channels // 2, like=like)
    grid = torch.cat(
        (columns[None].expand(height, -1, -1), rows[:, None].expand(-1, width, -1)),
        dim=-1,
    )
    return grid.flatten(0, 1)


def resize_table(table: Tensor, height: int, width: int) -> Tensor:
    """A learned table of a square grid, (side * side, C), resized to (height * width, C).

    Bicubic, align_corners False, no antialias, as CRIS and ETRIS resize CLIP's tables.
    """
    side = round(table.shape[0] ** 0.5)
    if (height, width) == (side, side):
        return table
    grid = table.T.reshape(1, -1, side, side)
    resized = F.interpolate(grid.float(), (height, width), mode="bicubic", align_corners=False)
    return resized.to(table.dtype).flatten(2)[0].T
