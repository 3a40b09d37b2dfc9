"""A 3x3 convolution of a map that was enlarged to twice its size, with the products taken before the enlarging.

A convolution is a sum over its nine taps of a product over channels and a shift. The product over channels commutes
with a bilinear resize, which treats every channel alike; so the nine products can be taken on the small map, where
there are a quarter of the pixels, and enlarging and shifting be done to the results. Both are fixed weights along rows
and along columns: two matrix products more, small ones where there are many channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

KERNEL = 3


def doubled(feature_map: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C, 2 h, 2 w), bilinear."""
    return F.interpolate(feature_map, scale_factor=2, mode="bilinear")


def multiplications(channels: int, height: int, width: int) -> int:
    """Those of `convolved_doubled` for each pixel of the small map and channel of the result; directly: 36 channels."""
    return KERNEL**2 * channels + 2 * KERNEL**2 * height + 4 * KERNEL * width


def taps(weight: Tensor) -> list[Tensor]:
    """The weights (O, C, 3, 3) as three (3 O, C), one a kernel row."""
    return [row.permute(2, 0, 1).flatten(0, 1) for row in weight.unbind(2)]


def convolved_doubled(feature_map: Tensor, products: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """`conv2d(doubled(feature_map), weight, padding=1)` without a bias.

    Args:
        feature_map: (N, C, h, w), of whatever layout in memory.
        products: for each kernel row the linear layer (..., C) -> (..., 3 O) of one of `taps(weight)`.

    Returns:
        (N, O, 2 h, 2 w), channels-last in memory.
    """
    count, _, height, width = feature_map.shape
    pixels = feature_map.permute(0, 2, 3, 1)
    rows = torch.zeros((), device=feature_map.device, dtype=feature_map.dtype)
    for product, shifted in zip(products, _shifted(height, like=feature_map), strict=True):
        mixed = product(pixels).reshape(count, height, -1)
        rows = torch.baddbmm(rows, shifted.expand(count, -1, -1), mixed)
    columns = torch.stack(_shifted(width, like=feature_map), dim=2).flatten(1)
    result = torch.bmm(columns.expand(2 * height * count, -1, -1), rows.reshape(2 * height * count, KERNEL * width, -1))
    return result.view(count, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def _shifted(length: int, like: Tensor) -> list[Tensor]:
    """For each tap the matrix (2 length, length) that enlarges a line and shifts it, with zeros beyond its ends."""
    enlarged = F.interpolate(torch.eye(length, device=like.device)[None], scale_factor=2, mode="linear")[0].T
    beyond = enlarged.new_zeros(1, length)
    before, after = torch.cat((beyond, enlarged[:-1])), torch.cat((enlarged[1:], beyond))
    return [matrix.to(like.dtype) for matrix in (before, enlarged, after)]
