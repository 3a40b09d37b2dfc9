"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, section 4.3. A 4x4 tile of the result
needs a 6x6 patch of the input. Patch and kernel are taken to 36 "frequencies", where the convolution is one matrix
product a frequency; 36 products replace 144. The products run through oneDNN with weights packed once.

In float32 the result differs from a direct convolution by about 1e-5 of its size, as much as two orders of summation
of a long sum do in the worst case. It is for inference alone: no gradients, weights fixed at construction.
"""

from __future__ import annotations

import math
import threading

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
# Weights of one frequency up to which products are small.
SMALL = 128 * 128
# Bytes of one chunk's patches: what fits the caches, and below malloc's threshold for fresh (page-faulting) memory.
_CHUNK_BYTES, _SMALL_CHUNK_BYTES = 12 << 20, 3 << 20
_kept = threading.local()


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
        biases = [bias if index == _CONSTANT else None for index in range(_PATCH**2)]
        small = frequencies[0].numel() <= SMALL
        self.chunk_bytes = _SMALL_CHUNK_BYTES if small else _CHUNK_BYTES
        self.products = [] if small else [PackedLinear(*given) for given in zip(frequencies, biases, strict=True)]
        self.batch: tuple[Tensor, Tensor] | None = None
        if small:
            rows = torch.stack([torch.zeros_like(bias) if given is None else given for given in biases])
            self.batch = rows[:, None], frequencies.transpose(1, 2).contiguous()
        self.input_transform = _twice(_INPUT).float()
        self.output_transform = _twice(_OUTPUT).float()

    def __call__(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H, W), channels-last in memory."""
        count, channels, height, width = x.shape
        rows, columns = -(-height // TILE), -(-width // TILE)
        padded = x.new_zeros(count, rows * TILE + 2, columns * TILE + 2, channels)
        padded[:, 1 : height + 1, 1 : width + 1] = x.permute(0, 2, 3, 1)
        result = x.new_empty(count, height, width, self.out_channels)
        band = max(1, self.chunk_bytes // (4 * _PATCH**2 * max(channels, self.out_channels) * columns))
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
        copied = _scratch("first", _PATCH**2, tiles * channels)
        copied.view(patches.shape).copy_(patches)
        spectrum = torch.mm(self.input_transform, copied, out=_scratch("second", _PATCH**2, tiles * channels))
        mixed = self._mixed(spectrum.view(_PATCH**2, tiles, channels)).view(_PATCH**2, -1)
        drawn = torch.mm(self.output_transform, mixed, out=_scratch("second", TILE**2, tiles * self.out_channels))
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

    def _mixed(self, spectrum: Tensor) -> Tensor:
        """(frequencies, tiles, C) -> (frequencies, tiles, O)."""
        mixed = _scratch("first", len(spectrum), spectrum.shape[1], self.out_channels)
        if self.batch is not None:
            bias, matrices = self.batch
            return torch.baddbmm(bias, spectrum, matrices, out=mixed)
        products = [product(part) for product, part in zip(self.products, spectrum, strict=True)]
        return torch.stack(products, out=mixed)


def _scratch(name: str, *shape: int) -> Tensor:
    """Memory that this thread's convolutions write to in turns: fresh memory costs more than all sums in it."""
    size = math.prod(shape)
    kept: Tensor | None = getattr(_kept, name, None)
    if kept is None or len(kept) < size:
        with torch.inference_mode(False):  # or nothing outside of that mode could write to it
            kept = torch.empty(size)
        setattr(_kept, name, kept)
    return kept[:size].view(shape)
