"""The projector for inference on a CPU: the sentence's kernel is folded through the last convolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.layers.doubling import KERNEL, convolved_doubled, doubled, multiplications, taps
from referent.layers.fast import conv3, folded_block, rows_of
from referent.layers.packed import PackedLinear
from referent.layers.projector import Projector

# Multiplications for each pixel of the small map and pair of channels at which the convolution of the large map is as
# fast: it has 36, of which Winograd and oneDNN's own algorithms save about as much.
_DIRECT = 4 * KERNEL**2 / 2.25


class _DoubledConv:
    """ReLU of `conv2d(doubled(x), weight, bias, padding=1)`, for maps x of about `side` pixels a side."""

    def __init__(self, weight: Tensor, bias: Tensor, side: int, dtype: torch.dtype) -> None:
        channels = weight.shape[1]
        self.bias = bias.to(dtype)[:, None, None]
        early = multiplications(channels, side, side) < _DIRECT * channels
        self.products = [PackedLinear(row.to(dtype), None) for row in taps(weight)] if early else []
        self.large = None if early else conv3(weight, torch.zeros_like(bias), 2 * side, dtype, relu=False)

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(N, C, h, w) -> (N, O, 2 h, 2 w); `other` has the result's shape and is added before the ReLU."""
        y = self.large(doubled(x)) if self.large is not None else convolved_doubled(x, self.products)
        return y.add_(self.bias if other is None else other).relu_()


class FastProjector:
    """`Projector`, its convolutions in `dtype`, for maps of about `side` pixels a side."""

    def __init__(self, projector: Projector, side: int, dtype: torch.dtype) -> None:
        self.dtype, self.kernel = dtype, projector.kernel
        weight, bias = folded_block(projector.second)
        self.first = _DoubledConv(*folded_block(projector.first), side, dtype)
        self.second = _DoubledConv(weight, bias, 2 * side, dtype)
        self._share = conv3(weight, bias, 4 * side, dtype, relu=False)
        last = projector.last
        assert last.bias is not None
        self.last_weight, self.last_bias = last.weight.detach().flatten(1), last.bias.detach()
        self.to_kernel = PackedLinear.of(projector.to_kernel, torch.float32)

    def share(self, finest: Tensor) -> Tensor:
        """As `Projector.share`, with the bias of the second convolution in it."""
        return self._share(finest)

    def __call__(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """As `Projector.forward`; maps are channels-last."""
        x = self.first(feature_map)
        if detail is None:
            return self._dynamic(self.second(x), state)
        return self._dynamic(self.second(x.add_(detail[0]), detail[1]), state)

    def _dynamic(self, x: Tensor, state: Tensor) -> Tensor:
        """The last 1x1 convolution and the sentence's kernel as one product, then a sum of nine shifted maps."""
        count, _, height, width = x.shape
        made = self.to_kernel(state)
        kernels = made[:, :-1].reshape(count, self.last_weight.shape[0], self.kernel**2)
        folded_kernels = (self.last_weight.T @ kernels).to(x.dtype)
        taps = torch.bmm(rows_of(x), folded_kernels).float() + (self.last_bias @ kernels)[:, None]
        taps = taps.reshape(count, height, width, -1).permute(0, 3, 1, 2)
        reach = self.kernel // 2
        taps = F.pad(taps, (reach, reach, reach, reach))
        logits = made[:, -1, None, None].expand(count, height, width).clone()
        for tap in range(self.kernel**2):
            row, column = divmod(tap, self.kernel)
            logits += taps[:, tap, row : row + height, column : column + width]
        return logits[:, None]
