"""One door for the user's own data."""

from __future__ import annotations

import json
from pathlib import Path

from referent.data.checking import OnProblem, parse_json, read_text
from referent.data.coco import coco_dataset, parse_coco
from referent.data.jsonl import read_jsonl
from referent.data.sample import Dataset
from referent.errors import DataError


def open_dataset(
    path: Path, split: str | None = None, *, pictures: Path | None = None, on_problem: OnProblem = "raise"
) -> Dataset:
    """A COCO file with phrases, or a .jsonl file; told apart by what is in it.

    Args:
        path: the file.
        split: only the samples of this split; None for all.
        pictures: folder of the pictures; otherwise the file's own, then `images/` in it.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.

    Raises:
        DataError: neither kind of file, no such split, no samples, or a list of all that is wrong with it.
    """
    text = read_text(path)
    if _is_lines(text, path):
        dataset = read_jsonl(path, split=split, pictures=pictures, on_problem=on_problem)
    else:
        content = parse_json(text, str(path))
        dataset = coco_dataset(parse_coco(content, path, split=split, pictures=pictures, on_problem=on_problem))
    if not dataset.samples:
        raise DataError(f"{path}: no usable samples" + (f" in split {split!r}" if split else ""))
    return dataset


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
