"""The cheapest assignment beside all others."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from referent.layers.assignment import assign


@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.integers(0, 2), st.booleans())
def test_no_other_assignment_costs_less(seed: int, rows: int, surplus: int, ties: bool) -> None:
    generator = np.random.default_rng(seed)
    cost = generator.normal(size=(rows, rows + surplus)) * 3
    cost = cost.round() if ties else cost
    best = min(
        sum(cost[row, column] for row, column in enumerate(columns))
        for columns in itertools.permutations(range(rows + surplus), rows)
    )
    found = assign(cost)
    assert len(set(found.tolist())) == rows
    assert cost[np.arange(rows), found].sum() == pytest.approx(best)
