"""The convolution that learns from channels-first copies is a convolution."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from referent.layers.convolution import Convolution, conv_bn_relu


def gradients(convolution: nn.Conv2d, x: Tensor, bf16: bool = False) -> tuple[Tensor, ...]:
    """The result, and its gradients to weights and map."""
    x = x.detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
        y = convolution(x)
    y.backward(torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(y.dtype))
    assert convolution.weight.grad is not None
    assert x.grad is not None
    return y, convolution.weight.grad, x.grad


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("bf16", [False, True])
def test_values_and_gradients_are_those_of_a_plain_convolution(
    kernel: int, layout: torch.memory_format, bf16: bool
) -> None:
    torch.manual_seed(0)
    ours = Convolution(5, 7, kernel, padding=kernel // 2, bias=False)
    plain = nn.Conv2d(5, 7, kernel, padding=kernel // 2, bias=False)
    plain.load_state_dict(ours.state_dict())
    ours, plain = ours.to(memory_format=layout), plain.to(memory_format=layout)
    x = torch.randn(2, 5, 6, 9).contiguous(memory_format=layout)
    for found, wanted in zip(gradients(ours, x, bf16), gradients(plain, x, bf16), strict=True):
        assert found.dtype == wanted.dtype
        assert torch.allclose(found, wanted, atol=1e-5)


def test_a_map_that_needs_no_gradient_gets_none_and_frozen_weights_neither() -> None:
    x = torch.randn(1, 4, 8, 8).contiguous(memory_format=torch.channels_last)
    block = conv_bn_relu(4, 4).to(memory_format=torch.channels_last)
    block(x).sum().backward()
    assert x.grad is None
    assert block[0].weight.grad is not None
    block[0].weight.requires_grad_(False)
    block[0].weight.grad = None
    block(x.requires_grad_()).sum().backward()
    assert x.grad is not None
    assert block[0].weight.grad is None
