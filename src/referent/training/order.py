"""Which item comes when: a pure function of seed, epoch and index, so that resuming replays nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from referent.errors import RecipeError

# First word of every random stream, so that no two uses of one seed share numbers.
ORDER_STREAM, DRAW_STREAM, AUXILIARY_STREAM, PROCESS_STREAM, VALIDATION_STREAM = range(5)

# So many batches are filled together from one stretch of the order where pictures of like proportions are wanted.
BUCKETED = 16


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
    """The order of a whole training. Every step is of one task; tasks take turns by their ratios.

    Attributes:
        lengths: items of each source.
        weights: visits an epoch of each source's items.
        batch: items a step.
        seed: of the shuffling.
        tasks: of each source; none means that all are of one.
        ratios: of the tasks' numbers of steps, by name; 1 for one that is not there.
        proportions: of each item's picture, to put like ones into one batch; none means that it does not matter.
    """

    lengths: tuple[int, ...]
    weights: tuple[float, ...]
    batch: int
    seed: int
    tasks: tuple[str, ...] = ()
    ratios: tuple[tuple[str, float], ...] = ()
    proportions: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for task in self._tasks:
            visits = sum(_visits(self.lengths, self._weights(task)))
            if visits < self.batch:
                named = f" of task {task}" if task else ""
                raise RecipeError(
                    f"`batch`: expected at most the {visits} items of an epoch{named}, found {self.batch}: "
                    "lower it, or raise the `weight` of a source"
                )

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch of every task; what is left over is dropped, another part in each epoch."""
        return sum(self._steps(task) for task in self._tasks)

    def task(self, step: int) -> str:
        """Of a step; "" where all sources are of one."""
        return self._turn(step)[0]

    def visits(self, step: int) -> list[Visit]:
        """The `batch` visits of a step (counted from 0 over the whole training)."""
        task, turn = self._turn(step)
        epoch, index = divmod(turn, self._steps(task))
        weights = self._weights(task)
        if self.proportions:
            order = _bucketed(self.lengths, weights, self.seed, epoch, self.proportions, self.batch)
        else:
            order = _epoch(self.lengths, weights, self.seed, epoch)
        rows = order[index * self.batch : (index + 1) * self.batch]
        return [Visit(int(item), int(repeat), epoch) for item, repeat in rows]

    @property
    def _tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.tasks)) or ("",)

    def _weights(self, task: str) -> tuple[float, ...]:
        """Of the sources; 0 for those of other tasks."""
        if not self.tasks:
            return self.weights
        return tuple(weight if own == task else 0.0 for weight, own in zip(self.weights, self.tasks, strict=True))

    def _steps(self, task: str) -> int:
        """Whole batches in an epoch of one task."""
        return sum(_visits(self.lengths, self._weights(task))) // self.batch

    def _turn(self, step: int) -> tuple[str, int]:
        """Whose turn it is, and how many turns that task had before."""
        ratios = dict(self.ratios)
        # A power of two, so that the table is made again only a few times in a training.
        table = _turns(tuple(ratios.get(task, 1.0) for task in self._tasks), 1 << step.bit_length())
        number, before = table[step].tolist()
        return self._tasks[number], before


def _visits(lengths: tuple[int, ...], weights: tuple[float, ...]) -> list[int]:
    return [round(length * weight) for length, weight in zip(lengths, weights, strict=True)]


@lru_cache(maxsize=2)
def _turns(ratios: tuple[float, ...], steps: int) -> NDArray[np.int64]:
    """(steps, 2): which task, and how many turns it had before. Each turn goes to the task that lags furthest behind
    its share."""
    shares = np.array(ratios) / sum(ratios)
    had = np.zeros(len(ratios), dtype=np.int64)
    table = np.empty((steps, 2), dtype=np.int64)
    for step in range(steps):
        number = int((shares * (step + 1) - had).argmax())
        table[step] = number, had[number]
        had[number] += 1
    return table


@lru_cache(maxsize=16)
def _epoch(lengths: tuple[int, ...], weights: tuple[float, ...], seed: int, epoch: int) -> NDArray[np.int64]:
    """(visits, 2): item and repeat, shuffled."""
    generator = np.random.default_rng((ORDER_STREAM, seed, epoch))
    rows: list[NDArray[np.int64]] = []
    first = 0
    for length, visits in zip(lengths, _visits(lengths, weights), strict=True):
        whole, part = divmod(visits, length)
        items = np.arange(first, first + length)
        rows += [np.stack([items, np.full(length, repeat)], axis=1) for repeat in range(whole)]
        # A fraction of a source is another random part of it in every epoch.
        chosen = generator.permutation(items)[:part]
        rows.append(np.stack([chosen, np.full(part, whole)], axis=1))
        first += length
    every = np.concatenate(rows)
    return every[generator.permutation(len(every))]


@lru_cache(maxsize=16)
def _bucketed(
    lengths: tuple[int, ...],
    weights: tuple[float, ...],
    seed: int,
    epoch: int,
    proportions: tuple[float, ...],
    batch: int,
) -> NDArray[np.int64]:
    """The same, but that within every stretch of `BUCKETED` batches visits of like proportions stand together."""
    order, shapes = _epoch(lengths, weights, seed, epoch), np.array(proportions)
    generator = np.random.default_rng((ORDER_STREAM, seed, epoch, batch))
    stretches = []
    for start in range(0, len(order), BUCKETED * batch):
        stretch = order[start : start + BUCKETED * batch]
        stretch = stretch[np.argsort(shapes[stretch[:, 0]], kind="stable")]
        cuts = [stretch[first : first + batch] for first in range(0, len(stretch), batch)]
        # An incomplete batch stays the last one.
        whole = len(stretch) // batch
        stretches += [cuts[index] for index in (*generator.permutation(whole), *range(whole, len(cuts)))]
    return np.concatenate(stretches)


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
