"""Which item comes when: a pure function of seed, epoch and index, so that resuming replays nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from referent.errors import RecipeError

# First word of every random stream, so that no two uses of one seed share numbers.
ORDER_STREAM, DRAW_STREAM, AUXILIARY_STREAM, PROCESS_STREAM = range(4)


@dataclass(frozen=True)
class Visit:
    """One showing of one item.

    Attributes:
        item: index over all sources, one after the other.
        repeat: how often the item was shown before in this epoch (sources of weight above 1).
        epoch: counted from 0.
    """

    item: int
    repeat: int
    epoch: int

    def generator(self, seed: int) -> np.random.Generator:
        """The random numbers of this visit; the same in any worker of any process."""
        return np.random.default_rng((DRAW_STREAM, seed, self.epoch, self.item, self.repeat))


@dataclass(frozen=True)
class Order:
    """The order of a whole training.

    Attributes:
        lengths: items of each source.
        weights: visits an epoch of each source's items.
        batch: items a step.
        seed: of the shuffling.
    """

    lengths: tuple[int, ...]
    weights: tuple[float, ...]
    batch: int
    seed: int

    def __post_init__(self) -> None:
        if self.steps_per_epoch == 0:
            raise RecipeError(
                f"`batch`: expected at most the {self._visits} items of an epoch, found {self.batch}: "
                "lower it, or raise the `weight` of a source"
            )

    @property
    def _visits(self) -> int:
        return sum(round(length * weight) for length, weight in zip(self.lengths, self.weights, strict=True))

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; what is left over is dropped, another part in each epoch."""
        return self._visits // self.batch

    def visits(self, step: int) -> list[Visit]:
        """The `batch` visits of a step (counted from 0 over the whole training)."""
        epoch, index = divmod(step, self.steps_per_epoch)
        rows = _epoch(self.lengths, self.weights, self.seed, epoch)[index * self.batch : (index + 1) * self.batch]
        return [Visit(int(item), int(repeat), epoch) for item, repeat in rows]


@lru_cache(maxsize=2)
def _epoch(lengths: tuple[int, ...], weights: tuple[float, ...], seed: int, epoch: int) -> NDArray[np.int64]:
    """(visits, 2): item and repeat, shuffled."""
    generator = np.random.default_rng((ORDER_STREAM, seed, epoch))
    rows: list[NDArray[np.int64]] = []
    first = 0
    for length, weight in zip(lengths, weights, strict=True):
        whole, part = divmod(round(length * weight), length)
        items = np.arange(first, first + length)
        rows += [np.stack([items, np.full(length, repeat)], axis=1) for repeat in range(whole)]
        # A fraction of a source is another random part of it in every epoch.
        chosen = generator.permutation(items)[:part]
        rows.append(np.stack([chosen, np.full(part, whole)], axis=1))
        first += length
    every = np.concatenate(rows)
    return every[generator.permutation(len(every))]


def deal(costs: Sequence[float], parts: int) -> list[list[int]]:
    """Positions dealt into `parts` hands of equal size and nearly equal cost.

    Greedy: the dearest first, always to the hand that has cost least so far and still has room. Ties fall to the
    lower position and the lower hand, so the result depends on `costs` alone.

    Args:
        costs: of each position, in any unit; their number is a multiple of `parts`.
        parts: hands.

    Returns:
        `parts` lists of positions, each in ascending order.
    """
    size = len(costs) // parts
    hands: list[list[int]] = [[] for _ in range(parts)]
    spent = [0.0] * parts
    for position in sorted(range(len(costs)), key=lambda index: (-costs[index], index)):
        roomy = [index for index in range(parts) if len(hands[index]) < size]
        hand = min(roomy, key=lambda index: (spent[index], index))
        hands[hand].append(position)
        spent[hand] += costs[position]
    return [sorted(hand) for hand in hands]
