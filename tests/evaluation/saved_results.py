"""Results with predictions on disk, of stubs that answer as a test tells them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from evaluation_stub import Stub, columns

from referent.data.sample import Dataset, Sample
from referent.evaluation.run import evaluate


def save(
    folder: Path,
    name: str,
    samples: Sequence[Sample],
    drawn: Callable[[str], int],
    *,
    protocols: Sequence[str] = ("referent", "cris"),
    dataset: str = "toy",
    threshold: float = 0.5,
    size: tuple[int, int] = (4, 6),
    unreadable: frozenset[str] = frozenset(),
    **options: object,
) -> Path:
    """Evaluates a stub that draws the first `drawn(phrase)` columns, nothing and not found for 0; gives the result's
    path."""

    def reply(picture: Path, phrase: str) -> tuple[np.ndarray, float, bool]:
        count = drawn(phrase)
        return columns(*range(count), size=size) * 0.9, 0.9 if count else 0.1, count > 0

    stub = Stub(reply, name=name, threshold=threshold, unreadable=unreadable)
    path = folder / f"{name}.json"
    data = Dataset(dataset, list(samples))
    result = evaluate(stub, data, protocols, save=folder / f"{name}.jsonl", replicates=50, **options)  # type: ignore[arg-type]
    result.save(path)
    return path
