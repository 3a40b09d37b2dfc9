"""The state of every random generator of a process, as plain values that a checkpoint can hold without pickled code."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from referent.training.order import PROCESS_STREAM


def seed_process(seed: int, process: int) -> None:
    """Seeds python, numpy and torch of one process; processes draw different numbers."""
    words = np.random.SeedSequence((PROCESS_STREAM, seed, process)).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))  # noqa: NPY002 (other people's code draws from it)
    torch.manual_seed(int(words[2]))


def random_state() -> dict[str, Any]:
    """The generators of python, numpy and torch (the accelerator's too), as numbers, lists and tensors."""
    numpy_state: Any = np.random.get_state(legacy=True)  # noqa: NPY002
    name, keys, position, has_gauss, gauss = numpy_state
    version, words, next_gauss = random.getstate()
    state: dict[str, Any] = {
        "python": [version, list(words), next_gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts back what `random_state` returned; an accelerator's state is skipped where there is none."""
    version, words, next_gauss = state["python"]
    random.setstate((version, tuple(words), next_gauss))
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def untouched_randomness() -> Iterator[None]:
    """Leaves every generator as it was: a validation must not change the training."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)
