"""Attention in blocks answers as softmax over all keys at once does."""

import pytest
import torch

from referent.layers import long_attention
from referent.layers.long_attention import LongMemory


@pytest.mark.parametrize("size", [0.1, 1e4])
@pytest.mark.parametrize(("queries", "keys"), [(7, 5), (11, 1)])
def test_blocks_give_what_all_at_once_gives(
    queries: int, keys: int, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_attention, "QUERIES_AT_ONCE", 3)
    monkeypatch.setattr(long_attention, "KEYS_AT_ONCE", 2)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(rows, 4, generator=generator) for rows in (queries, keys, keys))
    exact = (size * query.double() @ key.double().T).softmax(-1) @ value.double()
    memory = LongMemory(key, value, torch.float32)
    found = memory.read(size * long_attention.IN_POWERS_OF_TWO * query)
    assert torch.allclose(found.double(), exact, atol=1e-5)


def test_scores_of_any_size_stay_finite() -> None:
    memory = LongMemory(torch.tensor([[1e4], [-1e4]]), torch.eye(2), torch.float32)
    found = memory.read(torch.tensor([[1.0], [-1.0]]))
    assert torch.equal(found, torch.eye(2))


@pytest.mark.parametrize("size", [1.0, 8.0])
def test_bfloat16_comes_near_and_does_not_mind_what_all_keys_share(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(rows, 16, generator=generator) for rows in (50, 3000, 3000))
    scaled = size / 4 * query
    exact = (scaled.double() @ key.double().T).softmax(-1) @ value.double()
    found = LongMemory(key + 20, value, torch.bfloat16).read(long_attention.IN_POWERS_OF_TWO * scaled)
    assert found.dtype == torch.float32
    error = (found.double() - exact).norm() / exact.norm()
    assert error < 0.03
