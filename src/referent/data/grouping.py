"""Samples by picture, so that a picture is opened and encoded once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from referent.data.sample import Sample


def group_by_picture(samples: Iterable[Sample]) -> list[tuple[Path, list[Sample]]]:
    """Pictures in the order of their first sample, each with its samples in their order."""
    groups: dict[Path, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.picture, []).append(sample)
    return list(groups.items())
