"""Positional encodings: sinusoids of positions, and learned tables resized to the picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_BASE = 10000.0  # Vaswani et al. 2017, section 3.5
_EPS = 1e-6


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


def normalised_sinusoids_2d(height: int, width: int, channels: int, *, like: Tensor) -> Tensor:
    """(height * width, channels) encodings of a map in row-major order, as DETR has them; `channels` a multiple of 4.

    Coordinates run from 2 pi / side to 2 pi over the map, whatever its size. The first half of the channels encodes the
    row, the second half the column; in each, channel 2i is a sine and 2i + 1 the cosine of the same angle.
    """

    def encoded(side: int) -> Tensor:
        place = torch.arange(1, side + 1, device=like.device, dtype=torch.float32) / (side + _EPS) * (2 * math.pi)
        exponent = torch.arange(0, channels // 2, 2, device=like.device, dtype=torch.float32) / (channels // 2)
        angle = place[:, None] / torch.pow(_BASE, exponent)
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).to(like.dtype)

    rows = encoded(height)[:, None].expand(-1, width, -1)
    columns = encoded(width)[None].expand(height, -1, -1)
    return torch.cat((rows, columns), dim=-1).flatten(0, 1)


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
