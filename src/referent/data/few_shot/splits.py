"""Which classes of a few-shot set are for training, validation and test: read from lists, or by a rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from referent.data.checking import read_text
from referent.errors import DataError, listed

SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("trn.txt", "train.txt"),
    "val": ("val.txt",),
    "test": ("test.txt", "fss_test_set.txt"),
}
"""Names of the lists of each split: VAT's (520, 240 and 240 classes of FSS-1000), and FSS-1000's own of its test."""

LIST_FOLDERS = ("", "splits", "splits/fss", "../splits/fss")
SHARES = {"train": 520, "val": 240, "test": 240}
"""Of 1,000 classes."""


def split_names(split: str | None) -> tuple[str, ...] | None:
    """The splits that a split's name, or several with commas, says; None, which stays so, says all."""
    return None if split is None else tuple(name.strip() for name in split.split(","))


def split_classes(folder: Path, names: Sequence[str]) -> tuple[dict[str, frozenset[str]], str]:
    """The classes of each split, and where they are from, in words.

    What no list says goes by a rule: the classes in order of the SHA-256 of their names, shared out in the proportion
    of `SHARES` among the splits without a list.

    Args:
        folder: of the data set; lists are looked for in `LIST_FOLDERS` from there.
        names: of its classes' folders.

    Raises:
        DataError: two lists share a class, or none of a list's classes is there.
    """
    read = dict(_read(folder))
    for name, members in read.items():
        if not members & set(names):
            raise DataError(f"{folder}: none of the {len(members)} classes in the list of {name} has a folder")
        for other, others in read.items():
            if other < name and members & others:
                raise DataError(f"{folder}: the lists of {other} and {name} share classes: {listed(members & others)}")
    open_splits = [name for name in SHARES if name not in read]
    taken = frozenset[str]().union(*read.values())
    rest = sorted(
        (name for name in names if name not in taken), key=lambda name: hashlib.sha256(name.encode()).digest()
    )
    total = sum(SHARES[name] for name in open_splits)
    found = {name: members & set(names) for name, members in read.items()}
    start, before = 0, 0
    for name in open_splits:
        before += SHARES[name]
        end = round(len(rest) * before / total)
        found[name] = frozenset(rest[start:end])
        start = end
    if not open_splits:
        return found, f"classes of each split as listed in {folder.name}"
    lists = f"lists of {', '.join(read)} read; " if read else ""
    return found, f"{lists}classes of {', '.join(open_splits)} by a rule, as no official list is there"


def _read(folder: Path) -> Iterator[tuple[str, frozenset[str]]]:
    for split, files in SPLITS.items():
        for place in (folder / inside / file for inside in LIST_FOLDERS for file in files):
            if place.is_file():
                lines = (line.strip() for line in read_text(place).splitlines())
                yield split, frozenset(line for line in lines if line)
                break
