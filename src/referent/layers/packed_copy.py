"""A copy of any module for inference on a CPU: the same calls, with every linear layer and convolution packed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from referent.layers.fast import conv_of_any_size
from referent.layers.packed import PackedLinear

Module = TypeVar("Module", bound=nn.Module)


class PackedLayer(nn.Module):
    """A linear layer or a convolution with packed weights, in the place of the original one.

    It computes in `dtype` and answers in the precision in which it was asked.

    Args:
        layer: a convolution has one group and no dilation; its maps come out channels-last.
        side: of the maps to come, roughly.
        dtype: float32 or bfloat16.
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, side: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.of_maps = dtype, isinstance(layer, nn.Conv2d)
        self.call: Callable[[Tensor], Tensor]
        if isinstance(layer, nn.Linear):
            self.call = PackedLinear.of(layer, dtype)
            return
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        stride, padding = int(layer.stride[0]), int(layer.padding[0])
        self.call = conv_of_any_size(layer.weight.detach(), bias.detach(), side, dtype, False, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's."""
        given = x.to(self.dtype)
        given = given.contiguous(memory_format=torch.channels_last) if self.of_maps else given
        return self.call(given).to(x.dtype)


def packed_copy(module: Module, side: int, dtype: torch.dtype = torch.float32) -> Module:
    """A copy of `module`, in evaluation mode, that answers as it does and cannot train.

    Args:
        module: on the CPU, float32; nothing in it may ask a linear layer or a convolution for its weights.
        side: of the maps that it convolves, roughly; oneDNN chooses its algorithms by it.
        dtype: in which linear layers and convolutions compute; all else stays float32.
    """
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear | nn.Conv2d):
                setattr(parent, name, PackedLayer(child, side, dtype))
    return twin
