"""Pictures in one folder a class, as a question set: every class name asked of every picture.

    FOLDER/cat/1.jpg, FOLDER/dog/2.jpg          no splits, or
    FOLDER/train/cat/1.jpg, FOLDER/val/cat/...  one folder a split

A picture's own class is true of all of it, every other name of nothing in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from referent.data.checking import OnProblem, Problems
from referent.data.class_names import as_phrase
from referent.data.sample import Dataset, Sample
from referent.errors import DataError, PictureError
from referent.picture import SUFFIXES, picture_size
from referent.reference import Reference
from referent.rle import encode

DEFAULT_SPLITS = ("train", "val")
"""Every tenth picture of a class, from the tenth on, is in the second of these where the folder has no splits."""
_HELD_OUT = 10


def read_class_folders(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> Dataset:
    """The class names of a folder of folders, asked of each of its pictures, in order of class and file name.

    Args:
        folder: with one folder a class, or with one folder a split that holds those.
        split: only the pictures of this split; None for all.
        on_problem: "raise", or "skip" to leave out pictures that cannot be read, with a warning in the log.

    Raises:
        DataError: no such split, no folders of pictures, fewer than two classes, or pictures that cannot be read.
    """
    found = _pictures(folder, split)
    names = tuple(sorted({name for _, name, _ in found}))
    if len(names) < 2:
        raise DataError(
            f"{folder}: expected a COCO file, or a folder with one folder of pictures for each of two or more classes"
            + (f" in {split}/" if split else "")
            + f", found {len(names)} such folders"
        )
    problems = Problems(folder, on_problem)
    # Shared, since there are as many samples as pictures times names.
    references = {name: Reference.of(name) for name in names}
    true, false = ({name: {"kind": kind, "name": name} for name in names} for kind in ("name", "none"))
    samples = []
    for path, own, where in found:
        try:
            size = picture_size(path)
        except PictureError as error:
            problems.add(path.name, str(error))
            continue
        place, whole = path.relative_to(folder).as_posix(), encode(np.ones(size, dtype=bool))
        for name in names:
            targets, tags = ((whole,), true[name]) if name == own else ((), false[name])
            samples.append(Sample(f"{place} {name}", path, size, references[name], targets, where, tags))
    name = f"{folder.resolve().name}, class folders"
    return Dataset(name, samples, problems.settle(), classes=names, whole_pictures=True)


def _pictures(folder: Path, split: str | None) -> list[tuple[Path, str, str]]:
    """Path, class and split of every picture."""
    splits = {child.name: child for child in _folders(folder) if any(map(_files, _folders(child)))}
    if splits:
        if split is not None and split not in splits:
            raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(splits)}")
        return [
            (file, as_phrase(own.name), name)
            for name, inside in splits.items()
            if split in (None, name)
            for own in _folders(inside)
            for file in _files(own)
        ]
    found = [
        (file, as_phrase(own.name), DEFAULT_SPLITS[number % _HELD_OUT == _HELD_OUT - 1])
        for own in _folders(folder)
        for number, file in enumerate(_files(own))
    ]
    if found and split is not None and split not in DEFAULT_SPLITS:
        raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(DEFAULT_SPLITS)}")
    return [item for item in found if split in (None, item[2])]


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir())


def _files(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.suffix.lower() in SUFFIXES)
