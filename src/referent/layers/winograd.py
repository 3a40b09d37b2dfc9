"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.3. A 4x4 tile of the result
needs a 6x6 patch of the input. Patch and kernel are taken to 36 "frequencies", where the convolution is one matrix
product a frequency; 36 products replace 144. The products run through oneDNN with weights packed once.

In float32 the result differs from a direct convolution by about 1e-5 of its size, as much as two orders of summation
of a long sum do in the worst case. It is for inference alone: no gradients, weights fixed at construction.
"""

from __future__ import annotations

import torch
from torch import Tensor

from referent.layers.packed import PackedLinear

TILE = 4
_PATCH = 6
# Interpolation points 0, 1, -1, 2, -2 and infinity.
_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
# The frequency of point (1, 1) reaches every pixel of a tile with weight 1, so a bias added there is a bias.
_CONSTANT = 1 * _PATCH + 1
# Bytes of one chunk's patches: what fits the caches, and below malloc's threshold for fresh (page-faulting) memory.
_CHUNK_BYTES = 12 << 20


def _twice(matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    one = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(one, one)


class WinogradConv:
    """Convolution 3x3, stride 1, padding 1, with bias and optional ReLU, on channels-last float32 maps.

    Args:
        weight: (O, C, 3, 3).
        bias: (O,).
        relu: clamp the result at 0.
    """

    def __init__(self, weight: Tensor, bias: Tensor, relu: bool) -> None:
        self.out_channels = weight.shape[0]
        self.relu = relu
        frequencies = torch.einsum("fk,ock->foc", _twice(_KERNEL), weight.double().flatten(2)).float()
        self.products = [
            PackedLinear(matrix, bias if index == _CONSTANT else None) for index, matrix in enumerate(frequencies)
        ]
        self.input_transform = _twice(_INPUT).float()
        self.output_transform = _twice(_OUTPUT).float()

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H, W), channels-last in memory."""
        count, channels, height, width = x.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        padded = x.new_zeros(count, rows * TILE + 2, columns * TILE + 2, channels)
        padded[:, 1 : height + 1, 1 : width + 1] = x.permute(0, 2, 3, 1)
        result = x.new_empty(count, height, width, self.out_channels)
        band = max(1, _CHUNK_BYTES // (4 * _PATCH**2 * max(channels, self.out_channels) * columns))
        together = max(1, band // rows)
        for first in range(0, count, together):
            for top in range(0, rows, band):
                self._band(
                    padded[first : first + together], result[first : first + together], top, min(band, rows - top)
                )
        return result.permute(0, 3, 1, 2)

    def _band(self, padded: Tensor, result: Tensor, top: int, rows: int) -> None:
        """Tile rows `top` .. `top + rows` of a few pictures into their place in `result`."""
        count, _, padded_width, channels = padded.shape
        columns = (padded_width - 2) // TILE
        s_n, s_h, s_w, _ = padded.stride()
        patches = padded[:, top * TILE :].as_strided(
            (_PATCH, _PATCH, count, rows, columns, channels), (s_h, s_w, s_n, TILE * s_h, TILE * s_w, 1),
            padded.storage_offset() + top * TILE * s_h,
        )  # fmt: skip
        tiles = count * rows * columns
        spectrum = torch.mm(self.input_transform, patches.reshape(_PATCH**2, -1)).view(_PATCH**2, tiles, channels)
        mixed = torch.stack([product(part) for product, part in zip(self.products, spectrum, strict=True)])
        drawn = torch.mm(self.output_transform, mixed.view(_PATCH**2, -1))
        drawn = drawn.view(TILE, TILE, count, rows, columns, self.out_channels).permute(2, 3, 0, 4, 1, 5)
        bottom = min((top + rows) * TILE, result.shape[1])
        place = result[:, top * TILE : bottom]
        if place.shape[1] == rows * TILE and place.shape[2] == columns * TILE:
            target = place.unflatten(2, (columns, TILE)).unflatten(1, (rows, TILE))  # type: ignore[no-untyped-call]
        else:
            target = place
            drawn = drawn.reshape(count, rows * TILE, columns * TILE, -1)[:, : place.shape[1], : place.shape[2]]
        if self.relu:
            torch.clamp_min(drawn, 0, out=target)
        else:
            target.copy_(drawn)
