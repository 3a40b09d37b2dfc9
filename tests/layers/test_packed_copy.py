"""Copies of modules with packed weights answer as the originals do."""

import pytest
import torch
from torch import nn

from referent.layers.packed_copy import PackedLayer, packed_copy
from referent.layers.winograd import WinogradConv


def layers() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, stride=2, padding=3),
        nn.Conv2d(8, 128, 1, bias=False),
        nn.GroupNorm(4, 128),
        nn.Conv2d(128, 128, 3, padding=1),
        nn.Flatten(2),
        nn.Sequential(nn.Linear(30, 5), nn.Linear(5, 4, bias=False)),
    ).train()


@pytest.mark.parametrize("side", [1, 52])  # in the second case a convolution goes by Winograd
def test_a_copy_answers_as_the_original_and_leaves_it_alone(side: int) -> None:
    module = layers()
    twin = packed_copy(module, side)
    x = torch.randn(2, 3, 10, 12)
    with torch.no_grad():
        assert torch.allclose(twin(x), module(x), atol=1e-4)
    assert isinstance(twin[3], PackedLayer)
    assert isinstance(twin[3].call, WinogradConv) is (side == 52)
    assert isinstance(module[3], nn.Conv2d)
    assert module.training
    assert not twin.training
    assert not any(parameter.requires_grad for parameter in twin.parameters())


def test_a_copy_in_bfloat16_answers_in_the_precision_of_the_question() -> None:
    module = layers()
    x = torch.randn(2, 3, 10, 12)
    with torch.no_grad():
        rounded, exact = packed_copy(module, 1, torch.bfloat16)(x), module(x)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.1)
