"""Deformable attention against the definition, sample by sample."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from referent.layers import deformable
from referent.layers.deformable import DeformableAttention, by_gathering, by_grid_sample

SHAPES = ((2, 3), (5, 4))
BATCH, QUERIES, HEADS, POINTS, CHANNELS = 2, 3, 2, 2, 3
WAYS = (by_gathering, by_grid_sample)


def inputs(spread: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pixels = sum(height * width for height, width in SHAPES)
    value = torch.randn(BATCH, pixels, HEADS, CHANNELS, generator=generator, dtype=torch.float64)
    places = torch.randn(BATCH, QUERIES, HEADS, 2, POINTS, 2, generator=generator, dtype=torch.float64) * spread + 1
    weights = torch.rand(BATCH, QUERIES, HEADS, 2, POINTS, generator=generator, dtype=torch.float64)
    return value, places, weights


def by_definition(value: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Every sample on its own: four neighbours, those beyond the edges are zero."""
    result = torch.zeros(BATCH, QUERIES, HEADS, CHANNELS, dtype=value.dtype)
    for b, q, m, level, p in torch.cartesian_prod(*map(torch.arange, weights.shape)).tolist():
        height, width = SHAPES[level]
        start = sum(h * w for h, w in SHAPES[:level])
        x, y = places[b, q, m, level, p].tolist()
        for row in range(height):
            for column in range(width):
                near = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
                result[b, q, m] += weights[b, q, m, level, p] * near * value[b, start + row * width + column, m]
    return result.flatten(2)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.5, 2.0, 50.0]))
def test_samples_are_those_of_the_definition(way: Callable[..., Tensor], seed: int, spread: float) -> None:
    value, places, weights = inputs(spread, seed)
    assert torch.allclose(way(value, SHAPES, places, weights), by_definition(value, places, weights), atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", [(0.0, 0.0), (2.0, 1.0), (-1.0, 0.0), (3.0, 2.0), (-0.5, 1.5), (-9.0, 99.0)])
def test_the_edge_is_where_it_should_be(way: Callable[..., Tensor], place: tuple[float, float]) -> None:
    value, places, weights = inputs(1.0)
    places = torch.tensor(place, dtype=places.dtype).expand_as(places)
    assert torch.allclose(way(value, SHAPES, places, weights), by_definition(value, places, weights), atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_positions_are_not_rounded_where_values_are(way: Callable[..., Tensor]) -> None:
    """Every pixel of a long row is read at its own place; each has a channel of its own."""
    side = 200
    value = torch.eye(side, dtype=torch.bfloat16)[None, :, None]
    places = torch.zeros(1, side, 1, 1, 1, 2)
    places[0, :, 0, 0, 0, 0] = torch.arange(side)
    found = way(value, [(1, side)], places, torch.ones(1, side, 1, 1, 1, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found[0].float(), torch.eye(side), atol=0.01)


def test_gradients_are_the_same_whichever_way() -> None:
    gradients = []
    for way in WAYS:
        leaves = [tensor.requires_grad_() for tensor in inputs(2.0)]
        way(leaves[0], SHAPES, *leaves[1:]).square().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-9)


def test_queries_taken_a_few_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = by_gathering(inputs(2.0)[0], SHAPES, *inputs(2.0)[1:])
    monkeypatch.setattr(deformable, "_POINTS_AT_ONCE", 1)
    assert torch.equal(by_gathering(inputs(2.0)[0], SHAPES, *inputs(2.0)[1:]), whole)


def test_heads_begin_by_looking_around_in_a_ring() -> None:
    ring = DeformableAttention(16, 8, 1, 2).offsets.bias.reshape(8, 2, 2)
    assert torch.allclose(ring[:3, 0], torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), atol=1e-6)
    assert torch.allclose(ring[:, 1], 2 * ring[:, 0])


def test_one_reference_for_all_levels_is_that_reference_on_each() -> None:
    torch.manual_seed(0)
    attention = DeformableAttention(8, 2, 2, 2)
    torch.nn.init.normal_(attention.offsets.weight)
    query, memory, reference = torch.randn(2, 3, 8), torch.randn(2, 26, 8), torch.rand(3, 2)
    spread = reference[None, :, None].expand(2, -1, 2, -1)
    short = attention(query, reference, memory, SHAPES)
    assert short.shape == (2, 3, 8)
    assert torch.equal(short, attention(query, spread, memory, SHAPES))
