"""Linear layers and convolutions with weights packed once for oneDNN, bias and activation fused: for inference on CPU.

MKL, which `F.linear` uses in float32, reaches half of oneDNN's rate on some processors; on one without AVX-512 (EPYC
7003) it was 12 % faster where hundreds of rows came at a time. And a convolution through `F.conv2d` reorders its
weights on every call. The packed operators are those that `torch.compile` emits. Where a build of torch or a processor
lacks them, the plain operators take over.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def bf16_is_native() -> bool:
    """Whether this CPU has instructions for bfloat16; one without them emulates it, far slower than float32."""
    mkldnn = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _can_pack(weight: Tensor) -> bool:
    if weight.device.type != "cpu" or (weight.dtype == torch.bfloat16 and not bf16_is_native()):
        return False
    return bool(torch.backends.mkldnn.is_available()) and all(  # type: ignore[no-untyped-call]
        hasattr(torch.ops.mkldnn, name)
        for name in (
            "_linear_pointwise",
            "_reorder_linear_weight",
            "_convolution_pointwise",
            "_reorder_convolution_weight",
        )
    )


def _mkl_is_faster(dtype: torch.dtype) -> bool:
    """Of many rows at a time."""
    return dtype == torch.float32 and "AVX512" not in torch.backends.cpu.get_cpu_capability()


class PackedLinear:
    """y = x W^T + b, optionally + other, optionally ReLU.

    Args:
        weight: (out, in).
        bias: (out,) or None.
        relu: clamp the result at 0; not together with `other`.
        many: hundreds of rows come at a time, for which MKL may be faster; nothing is packed then.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, relu: bool = False, many: bool = False) -> None:
        self.packed = _can_pack(weight) and not (many and _mkl_is_faster(weight.dtype))
        weight = weight.detach().contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self.packed else weight
        self.bias = None if bias is None else bias.detach().clone()
        self.relu = relu

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out); `other` (..., out) is added."""
        y: Tensor
        if not self.packed:
            y = F.linear(x, self.weight, self.bias)
            y = y if other is None else y + other
            return y.relu_() if self.relu else y
        if other is not None:
            y = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")
            return y
        y = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "relu" if self.relu else "none", [], "")
        return y

    @classmethod
    def of(cls, layer: nn.Linear, dtype: torch.dtype, relu: bool = False, many: bool = False) -> PackedLinear:
        """The same layer, packed in `dtype`."""
        return cls(layer.weight.to(dtype), None if layer.bias is None else layer.bias.to(dtype), relu, many)


class PackedConv:
    """Convolution with bias, optionally + other, optionally ReLU, on channels-last maps.

    Args:
        weight: (O, C, k, k).
        bias: (O,).
        relu: clamp the result at 0 (after `other`).
        side: sides of the maps to come, roughly: oneDNN chooses the packing by it (a poor choice can cost a factor
            of thirty). Other sizes work too. None packs nothing, and suits all sizes.
        stride, padding: of the convolution.
    """

    def __init__(
        self, weight: Tensor, bias: Tensor, relu: bool, side: int | None, stride: int = 1, padding: int = 0
    ) -> None:
        self.packed = side is not None and _can_pack(weight)
        self.stride, self.padding, self.relu = stride, padding, relu
        weight = weight.detach().contiguous(memory_format=torch.channels_last)
        if self.packed:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                weight, [padding] * 2, [stride] * 2, [1, 1], 1, [1, weight.shape[1], side, side]
            )
        self.weight = weight
        self.bias = bias.detach().clone()

    def __call__(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, O, h, w); `other` has the result's shape."""
        stride, padding = [self.stride] * 2, [self.padding] * 2
        y: Tensor
        if not self.packed:
            y = F.conv2d(x, self.weight, self.bias, stride, padding)
            y = y if other is None else y.add_(other)
            return y.relu_() if self.relu else y
        operator = torch.ops.mkldnn._convolution_pointwise
        if other is None:
            y = operator(x, self.weight, self.bias, padding, stride, [1, 1], 1, "relu" if self.relu else "none", [], "")
        else:
            y = operator.binary(
                x,
                other,
                self.weight,
                self.bias,
                padding,
                stride,
                [1, 1],
                1,
                "add",
                1.0,
                "relu" if self.relu else None,
                [],
                "",
            )
        return y
