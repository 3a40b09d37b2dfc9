"""Products before the enlarging give what the convolution of the enlarged map gives."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from referent.layers.doubling import convolved_doubled, doubled, multiplications, taps
from referent.layers.projector import Projector
from referent.layers.projector_inference import FastProjector

Gradients = tuple[torch.Tensor, torch.Tensor]


@pytest.mark.parametrize("sides", [(1, 1), (1, 5), (2, 3), (7, 4)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_those_of_the_convolution_of_the_enlarged_map(
    sides: tuple[int, int], layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, *sides).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn(6, 5, 3, 3, requires_grad=True)
    direct = F.conv2d(doubled(x), weight, padding=1)
    early = convolved_doubled(x, [partial(F.linear, weight=row) for row in taps(weight)])
    assert torch.allclose(early, direct, atol=1e-5)
    assert early.is_contiguous(memory_format=torch.channels_last)
    along = torch.randn_like(direct)
    wanted: Gradients = torch.autograd.grad(direct, (x, weight), along)  # type: ignore[assignment]
    found: Gradients = torch.autograd.grad(early, (x, weight), along)  # type: ignore[assignment]
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_bfloat16_stays_bfloat16() -> None:
    x, weight = torch.randn(1, 8, 4, 4).bfloat16(), torch.randn(4, 8, 3, 3).bfloat16()
    found = convolved_doubled(x, [partial(F.linear, weight=row) for row in taps(weight)])
    assert found.dtype == torch.bfloat16
    wanted = F.conv2d(doubled(x.float()), weight.float(), padding=1)
    assert torch.allclose(found.float(), wanted, atol=0.05 * float(wanted.abs().max()))


# Three pixels a side: channels enough for products before the enlarging. Forty: the enlarged map is convolved.
@pytest.mark.parametrize("side", [3, 40])
@pytest.mark.parametrize("detailed", [False, True])
def test_the_projector_draws_the_same_in_either_order_and_in_its_inference_form(side: int, detailed: bool) -> None:
    torch.manual_seed(0)
    projector = Projector(16, 12, 8, 10).eval()
    early = multiplications(12, 2 * side, 2 * side) < 36 * 12
    assert early == (side == 3)
    feature_map, state = torch.randn(2, 16, side, side), torch.randn(2, 10)
    middle, finest = torch.randn(2, 12, 2 * side, 2 * side), torch.randn(2, 12, 4 * side, 4 * side)
    with torch.inference_mode():
        x = projector.first(doubled(feature_map))
        x = doubled(x + middle) + finest if detailed else doubled(x)
        wanted = projector.last(projector.second(x))
        kernels = projector.to_kernel(state)
        for part in (projector, FastProjector(projector, side, torch.float32)):
            found = part(feature_map, state, (middle, part.share(finest)) if detailed else None)
            for one, pixels, kernel in zip(found, wanted, kernels, strict=True):
                drawn = F.conv2d(pixels[None], kernel[:-1].view(1, 8, 3, 3), kernel[-1:], padding=1)
                assert torch.allclose(one, drawn[0], atol=1e-4)
