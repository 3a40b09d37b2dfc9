"""Attention in blocks answers as softmax over all keys at once does."""

import pytest
import torch

from referent.layers import long_attention


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
    found = long_attention.read(size * long_attention.IN_POWERS_OF_TWO * query, key.T, value)
    assert torch.allclose(found.double(), exact, atol=1e-5)


def test_scores_of_any_size_stay_finite() -> None:
    key = torch.tensor([[1e4, -1e4]])
    found = long_attention.read(torch.tensor([[1.0], [-1.0]]), key, torch.eye(2))
    assert torch.equal(found, torch.eye(2))
