"""The projector for inference on a CPU: the sentence's kernel is folded through the last convolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.layers.fast import conv3, folded_block, rows_of
from referent.layers.packed import PackedLinear
from referent.layers.projector import Projector


class FastProjector:
    """`Projector`, its convolutions in `dtype`, for maps of about `side` pixels a side."""

    def __init__(self, projector: Projector, side: int, dtype: torch.dtype) -> None:
        self.dtype, self.kernel = dtype, projector.kernel
        self.first = conv3(*folded_block(projector.first), 2 * side, dtype)
        self.second = conv3(*folded_block(projector.second), 4 * side, dtype)
        bias = projector.last.bias
        assert bias is not None
        self.last_weight, self.last_bias = projector.last.weight.detach().flatten(1), bias.detach()
        self.to_kernel = PackedLinear.of(projector.to_kernel, torch.float32)

    def __call__(self, feature_map: Tensor, state: Tensor, detail: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """As `Projector.forward`; maps are channels-last."""
        x = self.first(_doubled(feature_map))
        if detail is not None:
            x = x + detail[0]
        x = _doubled(x)
        if detail is not None:
            x = x + detail[1]
        return self._dynamic(self.second(x), state)

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


def _doubled(feature_map: Tensor) -> Tensor:
    return F.interpolate(feature_map, scale_factor=2, mode="bilinear")
