"""One door for the user's own data."""

from __future__ import annotations

import json
from pathlib import Path

from referent.data.checking import OnProblem, parse_json, read_text
from referent.data.coco import coco_dataset, parse_coco
from referent.data.jsonl import read_jsonl
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
    variant: str | None = None,
    wording: Wording = "sent",
    allow_missing: bool = False,
) -> Dataset:
    """A COCO file with phrases, a .jsonl file, or the folder of a published data set; told apart by what is in it.

    Args:
        path: the file or folder.
        split: only the samples of this split; None for all.
        pictures: folder of the pictures; otherwise a file's own, then `images/` in it; for a published data set the
            places in docs/data.md.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.
        variant: which splitting of a published data set ("unc", "umd", "google"), where its folder holds several.
        wording: which text of a published data set's sentences.
        allow_missing: whether pictures of a published data set may be missing; they are counted in `Dataset.missing`.

    Raises:
        DataError: neither kind of file, no such split, no samples, missing pictures, or a list of all that is wrong.
    """
    if path.is_dir():
        dataset = open_published(
            path,
            split,
            pictures=pictures,
            on_problem=on_problem,
            variant=variant,
            wording=wording,
            allow_missing=allow_missing,
        )
    else:
        if variant is not None or wording != "sent" or allow_missing:
            raise DataError(f"{path}: variants, wordings and missing pictures are for folders of published data sets")
        dataset = _open_file(path, split, pictures, on_problem)
    if not dataset.samples:
        raise DataError(f"{path}: no usable samples" + (f" in split {split!r}" if split else ""))
    return dataset


def _open_file(path: Path, split: str | None, pictures: Path | None, on_problem: OnProblem) -> Dataset:
    if path.suffix == ".p":
        raise DataError(f"{path}: expected the folder of a published data set: give {path.absolute().parent}")
    text = read_text(path)
    if _is_lines(text, path):
        return read_jsonl(path, split=split, pictures=pictures, on_problem=on_problem)
    content = parse_json(text, str(path))
    return coco_dataset(parse_coco(content, path, split=split, pictures=pictures, on_problem=on_problem))


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
