"""CRIS's letterbox: a picture scaled into a square and centred, and probabilities mapped back.

The map is an axis-aligned affine warp of pixel *indices* (no half-pixel shift, no antialias), as in the official code,
which calls OpenCV's `warpAffine`. Such a warp is separable: it is done as two 1-D resamplings, each a product with a
banded matrix, over only those source rows and columns that any output pixel reads.

Source: CRIS (Wang et al., CVPR 2022), official data pipeline and test procedure; within one grey level of OpenCV 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

BICUBIC_A = -0.75
"""OpenCV's and PyTorch's cubic coefficient."""

_BAND = 16
"""Output samples a matrix product. Measured on one core, 416 px: 8 doubles the time for small pictures, 128 for all."""

_Kernel = Literal["linear", "cubic"]


@dataclass(frozen=True)
class Letterbox:
    """The warp of one picture size into a square of `size` pixels.

    Args:
        original: (height, width) of the picture in pixels, at least 1 each.
        size: side of the square in pixels.
    """

    original: tuple[int, int]
    size: int

    @property
    def scale(self) -> float:
        """Letterboxed pixels a picture pixel."""
        return self.size / max(self.original)

    @property
    def shift(self) -> tuple[float, float]:
        """(y, x) of picture pixel (0, 0) in the square, in pixels."""
        height, width = self.original
        return (self.size - height * self.scale) / 2, (self.size - width * self.scale) / 2

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(2, 3): (x, y, 1) of the picture to (x, y) of the square, both pixel indices."""
        y, x = self.shift
        return np.array([[self.scale, 0.0, x], [0.0, self.scale, y]])

    @property
    def edges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Factors (x, y) and shifts (x, y) that bring edges into the square: pixel i lies between edges i and i + 1."""
        y, x = self.shift
        half = (1 - self.scale) / 2
        return (self.scale, self.scale), (x + half, y + half)

    def picture(self, pixels: NDArray[np.uint8], border: tuple[int, int, int]) -> Tensor:
        """The picture in the square, bicubic, rounded to whole grey levels.

        Args:
            pixels: (H, W, 3) uint8, H and W as `original`.
            border: RGB around the picture.

        Returns:
            (3, size, size) float32 with whole values in 0..255.
        """
        rows, columns = self._axes("cubic")
        used = _take(_take(pixels, rows.used, 0), columns.used, 1)
        # Rows first on (h, 3, w): both resamplings are then plain 2-D products on contiguous memory.
        planes = torch.from_numpy(np.ascontiguousarray(used.transpose(0, 2, 1))).float()
        colour = torch.tensor(border, dtype=torch.float32)[:, None]
        # A constant border is a zero border for the picture less that constant.
        planes -= colour
        warped = _resample(planes, rows, columns)
        warped += colour
        return warped.round_().clamp_(0, 255).permute(1, 0, 2).contiguous()

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """The mask in the square, linear, rounded to 1/255 as the official 8-bit masks are.

        Args:
            mask: (H, W) bool.

        Returns:
            (size, size) float32 in [0, 1]; 0 around the picture.
        """
        rows, columns = self._axes("linear")
        used = _take(_take(mask, rows.used, 0), columns.used, 1)
        plane = torch.from_numpy(np.ascontiguousarray(used)).float()
        warped = _resample(plane[:, None], rows, columns)[:, 0]
        return warped.mul_(255).round_().div_(255)

    def restore(self, maps: Tensor) -> Tensor:
        """Maps over the square, back on the picture.

        Bicubic with aligned corners to `size`, then the inverse warp, bicubic with 0 beyond the square, then cut to
        [0, 1] (bicubic overshoots by a few hundredths at edges).

        Args:
            maps: (N, 1, h, w) float, any device; any h and w.

        Returns:
            (N, H, W) float32 on the same device, in [0, 1].
        """
        height, width = self.original
        (shift_y, shift_x), scale = self.shift, self.scale
        to_rows = _restoring(maps.shape[-2], self.size, height, scale, shift_y).to(maps.device)
        to_columns = _restoring(maps.shape[-1], self.size, width, scale, shift_x).to(maps.device)
        # Interpolation weights in bfloat16 would move edges, whatever precision the model runs in.
        with torch.autocast(maps.device.type, enabled=False):
            return (to_rows @ maps[:, 0].float() @ to_columns.T).clamp_(0, 1)

    def _axes(self, kernel: _Kernel) -> tuple[_Axis, _Axis]:
        (height, width), (y, x) = self.original, self.shift
        return _axis(height, self.size, self.scale, y, kernel), _axis(width, self.size, self.scale, x, kernel)


@dataclass(frozen=True, eq=False)
class _Band:
    """Output samples [first, last): `weights` (last - first, stop - start) times the used samples [start, stop)."""

    first: int
    last: int
    start: int
    stop: int
    weights: Tensor


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of the warp: which source samples are read at all, and the banded matrix over those."""

    length: int
    used: NDArray[np.int64] | None  # None: all of them
    bands: tuple[_Band, ...]


def _weights(kernel: _Kernel, fraction: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Offsets (K,) of the taps from the sample at or left of a position, and their weights (n, K)."""
    if kernel == "linear":
        return np.array([0, 1]), np.stack([1 - fraction, fraction], axis=1)
    a, offsets = BICUBIC_A, np.array([-1, 0, 1, 2])
    distance = np.abs(fraction[:, None] - offsets)
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return offsets, np.where(distance <= 1, near, far)


def _dense(positions: NDArray[np.float64], length: int, *, clamp: bool) -> NDArray[np.float64]:
    """Cubic interpolation at `positions` (n,) of a signal of `length` samples, as a matrix (n, length).

    Beyond its ends the signal is its last sample (`clamp`) or zero.
    """
    base = np.floor(positions)
    offsets, weights = _weights("cubic", positions - base)
    taps = base.astype(np.int64)[:, None] + offsets
    if clamp:
        taps = taps.clip(0, length - 1)
    inside = (taps >= 0) & (taps < length)
    matrix = np.zeros((len(positions), length))
    np.add.at(matrix, (np.nonzero(inside)[0], taps[inside]), weights[inside])
    return matrix


@lru_cache(maxsize=128)
def _axis(length: int, size: int, scale: float, shift: float, kernel: _Kernel) -> _Axis:
    """The resampling of `length` samples to `size`; output index o reads position (o - shift) / scale."""
    positions = (np.arange(size) - shift) / scale
    base = np.floor(positions)
    offsets, weights = _weights(kernel, positions - base)
    taps = base.astype(np.int64)[:, None] + offsets
    inside = (taps >= 0) & (taps < length)
    used = np.unique(taps[inside])
    place = np.searchsorted(used, taps)

    bands = []
    # Of a side thinner than 1 / scale no output index may read anything: then there are no bands.
    outputs = np.nonzero(inside.any(axis=1))[0].tolist()
    end = outputs[-1] + 1 if outputs else 0
    for first in range(outputs[0] if outputs else 0, end, _BAND):
        last = min(first + _BAND, end)
        here = inside[first:last]
        columns = place[first:last][here]
        start, stop = int(columns.min()), int(columns.max()) + 1
        matrix = np.zeros((last - first, stop - start), dtype=np.float32)
        matrix[np.nonzero(here)[0], columns - start] = weights[first:last][here]
        bands.append(_Band(first, last, start, stop, _constant(matrix)))
    return _Axis(size, None if len(used) == length else used, tuple(bands))


@lru_cache(maxsize=128)
def _restoring(samples: int, size: int, length: int, scale: float, shift: float) -> Tensor:
    """(length, samples): enlarging to `size`, then the inverse warp to `length`; one matrix, as both are linear."""
    aligned = np.arange(size, dtype=np.float64) * ((samples - 1) / max(size - 1, 1))
    enlarge = _dense(aligned, samples, clamp=True)
    unwarp = _dense(np.arange(length, dtype=np.float64) * scale + shift, size, clamp=False)
    return _constant((unwarp @ enlarge).astype(np.float32))


def _constant(matrix: NDArray[np.float32]) -> Tensor:
    # Cached, so it must also serve gradients when it was first asked for in inference mode.
    with torch.inference_mode(mode=False):
        return torch.from_numpy(matrix)


def _take(pixels: NDArray[np.generic], used: NDArray[np.int64] | None, axis: int) -> NDArray[np.generic]:
    return pixels if used is None else pixels.take(used, axis=axis)


def _resample(planes: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """(h, C, w) of used samples to (rows.length, C, columns.length), zero where nothing is read."""
    height, channels, width = planes.shape
    tall = planes.new_zeros(rows.length, channels * width)
    for band in rows.bands:
        source = planes.view(height, channels * width)[band.start : band.stop]
        torch.mm(band.weights, source, out=tall[band.first : band.last])
    tall = tall.view(rows.length * channels, width)
    warped = planes.new_zeros(rows.length * channels, columns.length)
    for band in columns.bands:
        warped[:, band.first : band.last] = tall[:, band.start : band.stop] @ band.weights.T
    return warped.view(rows.length, channels, columns.length)
