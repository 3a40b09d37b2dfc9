"""Opens the folder of a published data set."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.published.layout import Layout, find_layout
from referent.data.published.phrasecut import read_phrasecut
from referent.data.published.pictures import Pictures, without_missing
from referent.data.published.refer import Wording, read_refer
from referent.data.published.sources import where_to_get_pictures
from referent.data.sample import Dataset
from referent.errors import DataError


def open_published(
    folder: Path,
    split: str | None = None,
    *,
    pictures: Path | None = None,
    on_problem: OnProblem = "raise",
    variant: str | None = None,
    wording: Wording = "sent",
    allow_missing: bool = False,
) -> Dataset:
    """A published data set from its folder: `ROOT/refcoco`, `ROOT/refcocog`, `ROOT/grefcoco`, ...

    Masks are drawn when they are first read, and no picture is opened: sizes come from the annotations.

    Args:
        folder: with the files that its authors publish; see docs/data.md.
        split: as its authors name it; None for all.
        pictures: folder of the pictures, instead of the documented places.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.
        variant: which splitting, where the folder holds several; "unc" where it holds that.
        wording: which text of a sentence.
        allow_missing: leave out samples without their picture, counted in `Dataset.missing`.

    Raises:
        DataError: not such a folder; a file is missing or damaged; no such split or variant; pictures are missing; or
            a list of all that is wrong.
    """
    layout = find_layout(folder)
    if layout is None:
        raise DataError(
            f"{folder}: expected a COCO or .jsonl file, or the folder of a published data set with refs(...).p, "
            "grefs(...).json or refer_<split>.json in it; `referent data check` says what is there"
        )
    finder = Pictures(folder, pictures)
    dataset = read_all(layout, layout.variant(variant), split, finder, on_problem=on_problem, wording=wording)
    return without_missing(dataset, finder, allow_missing, where_to_get_pictures(folder.resolve().name))


def read_all(
    layout: Layout,
    variant: str,
    split: str | None,
    pictures: Pictures,
    *,
    on_problem: OnProblem = "raise",
    wording: Wording = "sent",
) -> Dataset:
    """The samples of one variant, those included whose picture is missing (`pictures.missing`).

    Raises:
        DataError: as `open_published`, but for missing pictures.
    """
    with _no_collection():
        if layout.kind == "phrasecut":
            return read_phrasecut(layout, split, pictures, on_problem=on_problem)
        return read_refer(layout.files[variant], split, pictures, wording=wording, on_problem=on_problem)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Millions of lists and dicts come into being, none of them garbage; looking for some would double the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
