from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from referent.errors import RecipeError
from referent.training.order import Order, Visit, deal


def order(
    lengths: tuple[int, ...] = (10,), weights: tuple[float, ...] = (1.0,), batch: int = 3, seed: int = 0
) -> Order:
    return Order(lengths, weights, batch, seed)


def epoch_of(order: Order, epoch: int) -> list[Visit]:
    first = epoch * order.steps_per_epoch
    return [visit for step in range(first, first + order.steps_per_epoch) for visit in order.visits(step)]


def test_any_step_can_be_asked_for_alone_and_gives_the_same() -> None:
    forwards = [order().visits(step) for step in range(9)]
    assert [order().visits(step) for step in reversed(range(9))] == forwards[::-1]


def test_an_epoch_visits_every_item_once_but_for_the_incomplete_batch() -> None:
    items = [visit.item for visit in epoch_of(order(), 0)]
    assert len(items) == len(set(items)) == 9


def test_epochs_and_seeds_differ() -> None:
    orders = [
        [visit.item for visit in epoch_of(order(batch=10, seed=seed), epoch)] for seed in (0, 1) for epoch in (0, 1)
    ]
    assert len({tuple(items) for items in orders}) == 4


def test_weights_are_visits_an_epoch() -> None:
    mixed = order((4, 6, 8), (2.0, 0.5, 1.0), batch=19)
    counts = Counter(visit.item for visit in epoch_of(mixed, 0))
    assert [counts[item] for item in range(4)] == [2] * 4
    assert sum(counts[item] for item in range(4, 10)) == 3
    assert [counts[item] for item in range(10, 18)] == [1] * 8
    halves = {frozenset(v.item for v in epoch_of(mixed, epoch) if 4 <= v.item < 10) for epoch in range(8)}
    assert len(halves) > 1


def test_repeated_visits_draw_different_numbers_and_equal_visits_equal_ones() -> None:
    drawn = {Visit(3, repeat, epoch).generator(0).random() for repeat in (0, 1) for epoch in (0, 1)}
    assert len(drawn) == 4
    assert Visit(3, 0, 0).generator(0).random() == Visit(3, 0, 0).generator(0).random()


def test_a_batch_larger_than_an_epoch_says_so() -> None:
    with pytest.raises(RecipeError, match="at most the 10 items"):
        order(batch=11)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(1, 4))
def test_a_deal_gives_everything_once_in_hands_of_one_size(costs: list[int], parts: int) -> None:
    costs = costs * parts
    hands = deal(costs, parts)
    assert sorted(position for hand in hands for position in hand) == list(range(len(costs)))
    assert {len(hand) for hand in hands} == {len(costs) // parts}


def test_a_deal_evens_out_costs() -> None:
    hands = deal([9, 1, 1, 9, 5, 5, 2, 8], 2)
    assert [sum([9, 1, 1, 9, 5, 5, 2, 8][position] for position in hand) for hand in hands] == [20, 20]
