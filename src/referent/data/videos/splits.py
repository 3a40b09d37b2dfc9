"""Data sets with one folder a split: train, valid, test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from referent.data.checking import OnProblem, Problems
from referent.data.videos.video import Task, Video, VideoSet
from referent.errors import DataError

Key = TypeVar("Key")


NAMES = ("train", "val", "valid", "valid_u", "test")
"""Of the folders that are taken for splits."""


def split_folders(folder: Path, inside: str) -> list[str]:
    """The splits that have a file or folder of this name in theirs."""
    return [name for name in NAMES if (folder / name / inside).exists()]


def chosen_split(folder: Path, split: str | None, there: Iterable[str]) -> str:
    """The name of a split as the data set has it; "val" is also "valid", and one that is alone need not be named.

    Args:
        folder: for messages.
        split: as it was asked for.
        there: names of those there are.

    Raises:
        DataError: no such split, or several and none is named.
    """
    names = sorted(there)
    if split is None and len(names) == 1:
        return names[0]
    if split in names:
        return str(split)
    if split == "val" and "valid" in names:
        return "valid"
    asked = "expected the name of a split" if split is None else f"no split {split!r}"
    raise DataError(f"{folder}: {asked}; there are: {', '.join(names) or 'none'}")


def collected(
    folder: Path,
    name: str,
    family: str,
    task: Task,
    split: str | None,
    keys: Iterable[Key],
    read: Callable[[Key], Video],
    on_problem: OnProblem,
    named: Callable[[Key], str] = str,
) -> VideoSet:
    """Reads videos one by one; all that is wrong is said at once, or left out.

    Args:
        folder: for messages.
        name, family, task, split: of the set.
        keys: of the videos.
        read: makes one; a `DataError` of it is a problem of that video.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.
        named: of a key, for messages.

    Raises:
        DataError: problems, or no videos.
    """
    problems, videos = Problems(folder, on_problem), []
    for key in keys:
        try:
            videos.append(read(key))
        except DataError as error:
            problems.add(named(key), str(error))
    settled = problems.settle()
    if not videos:
        raise DataError(f"{folder}: no usable video" + (f" in split {split!r}" if split else ""))
    return VideoSet(name, family, task, videos, split, settled)
