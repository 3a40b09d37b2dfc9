"""One door for the user's own data."""

from __future__ import annotations

import json
from pathlib import Path

from referent.data.actors import a2d, jhmdb
from referent.data.checking import OnProblem, parse_json, read_text
from referent.data.class_folders import read_class_folders
from referent.data.class_names import class_names
from referent.data.coco import coco_dataset, parse_coco, read_coco
from referent.data.jsonl import read_jsonl
from referent.data.published.layout import find_layout
from referent.data.published.opening import open_published
from referent.data.published.refer import Wording
from referent.data.sample import Dataset
from referent.errors import DataError


def open_dataset(
    path: Path,
    split: str | None = None,
    *,
    pictures: Path | None = None,
    on_problem: OnProblem = "raise",
    wording: Wording = "sent",
    allow_missing: bool = False,
) -> Dataset:
    """A COCO file with phrases, a .jsonl file, or the folder of a published data set; told apart by what is in it.

    Args:
        path: the file or folder; where a folder holds several splittings, the refs file of one:
            `refcocog/refs(umd).p`.
        split: only the samples of this split; None for all.
        pictures: folder of the pictures; otherwise a file's own, then `images/` in it; for a published data set the
            places in docs/data.md.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.
        wording: which text of a published data set's sentences; other files have one.
        allow_missing: whether pictures may be missing; what is about them is left out and counted in
            `Dataset.missing`.

    Raises:
        DataError: no such data, no such split, no samples, missing pictures, or a list of all that is wrong.
    """
    layout = find_layout(path)
    if layout is not None:
        dataset = open_published(
            layout,
            split,
            pictures=pictures,
            on_problem=on_problem,
            wording=wording,
            allow_missing=allow_missing,
        )
    else:
        dataset = _open_file(path, split, pictures, on_problem, allow_missing)
    if not dataset.samples:
        missing = f": {dataset.missing.pictures} pictures are missing" if dataset.missing.pictures else ""
        raise DataError(f"{path}: no usable samples" + (f" in split {split!r}" if split else "") + missing)
    return dataset


def open_classes(
    path: Path, split: str | None = None, *, pictures: Path | None = None, on_problem: OnProblem = "raise"
) -> Dataset:
    """Every class name asked of every picture: of a COCO file, or of a folder with one folder of pictures a class.

    Args:
        path: the file or folder.
        split: only the pictures of this split; None for all.
        pictures, on_problem: as in `open_dataset`; a folder of folders holds its own pictures.

    Raises:
        DataError: see `read_coco` and `read_class_folders`.
    """
    if path.is_dir():
        return read_class_folders(path, split, on_problem=on_problem)
    return class_names(read_coco(path, split=split, pictures=pictures, on_problem=on_problem))


def _open_file(
    path: Path, split: str | None, pictures: Path | None, on_problem: OnProblem, allow_missing: bool
) -> Dataset:
    if (path / a2d.FILE).is_file():
        return a2d.read_a2d(path, split, on_problem=on_problem)
    if (path / jhmdb.FILE).is_file():
        return jhmdb.read_jhmdb(path, split, on_problem=on_problem)
    if path.is_dir():
        raise DataError(
            f"{path}: expected a COCO or .jsonl file, or the folder of a published data set (with refs(...).p, "
            "grefs(...).json or refer_<split>.json in it), found another folder; `referent data check` looks into it"
        )
    if path.suffix == ".lmdb":
        raise DataError(
            f"{path}: LMDB files of CRIS and ETRIS are not read: give the folder with refs(...).p and instances.json "
            "that they were made from, or see `referent data from-cris`"
        )
    text = read_text(path)
    if _is_lines(text, path):
        return read_jsonl(path, split=split, pictures=pictures, on_problem=on_problem, allow_missing=allow_missing)
    content = parse_json(text, str(path))
    return coco_dataset(
        parse_coco(content, path, split=split, pictures=pictures, on_problem=on_problem, allow_missing=allow_missing)
    )


def _is_lines(text: str, path: Path) -> bool:
    """Whether each line is a record of its own."""
    first, _, rest = text.strip().partition("\n")
    if not rest and '"images"' in first:
        return False  # a COCO file in one line, perhaps of many megabytes: not parsed twice
    try:
        record = json.loads(first)
    except (json.JSONDecodeError, RecursionError):
        # A COCO file spread over lines, or a broken file: then its name decides how the mistake is told.
        return path.suffix.lower() in (".jsonl", ".ndjson")
    return bool(rest) or (isinstance(record, dict) and "image" in record)
