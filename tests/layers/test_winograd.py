"""Winograd's convolution answers as the direct one does, whatever was convolved before it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from referent.layers import winograd
from referent.layers.winograd import WinogradConv


def differs(channels: tuple[int, int], size: tuple[int, int, int], relu: bool, seed: int = 0) -> float:
    """By how much at most, of one convolution of some maps (count, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    count, height, width = size
    x = torch.randn(count, channels[0], height, width, generator=generator)
    weight = torch.randn(channels[1], channels[0], 3, 3, generator=generator) / channels[0]
    bias = torch.randn(channels[1], generator=generator)
    expected: Tensor = F.conv2d(x, weight, bias, padding=1)
    found = WinogradConv(weight, bias, relu)(x.contiguous(memory_format=torch.channels_last))
    return float((found - (expected.relu() if relu else expected)).abs().max())


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("size", [(3, 8, 12), (2, 5, 7), (1, 1, 1)])
@pytest.mark.parametrize("small", [True, False])
def test_it_is_the_direct_convolution(
    size: tuple[int, int, int], relu: bool, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "SMALL", 1 << 20 if small else 0)
    for chunk in ("_CHUNK_BYTES", "_SMALL_CHUNK_BYTES"):
        monkeypatch.setattr(winograd, chunk, 40_000)  # so that maps come in several bands
    assert differs((16, 24), size, relu) < 1e-4


def test_memory_that_inference_mode_left_is_of_use_outside_of_it_and_for_larger_maps() -> None:
    with torch.inference_mode():
        assert differs((16, 24), (1, 8, 8), True) < 1e-4
    with torch.no_grad():
        assert differs((32, 24), (2, 16, 16), True) < 1e-4


def test_threads_do_not_write_over_each_others_maps() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: differs((64, 64), (2, 32, 32), True, seed), range(24)))
    assert max(found) < 1e-4
