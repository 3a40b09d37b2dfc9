"""Opens the folder of a published data set."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.published.layout import Layout
from referent.data.published.phrasecut import read_phrasecut
from referent.data.published.pictures import Pictures, without_missing
from referent.data.published.refer import Wording, read_refer
from referent.data.published.sources import where_to_get_pictures
from referent.data.sample import Dataset


def open_published(
    layout: Layout,
    split: str | None = None,
    *,
    pictures: Path | None = None,
    on_problem: OnProblem = "raise",
    wording: Wording = "sent",
    allow_missing: bool = False,
) -> Dataset:
    """A published data set from its folder: `ROOT/refcoco`, `ROOT/grefcoco`, ... or `ROOT/refcocog/refs(umd).p`.

    Masks are drawn when they are first read, and no picture is opened: sizes come from the annotations.

    Args:
        layout: of the folder.
        split: as the authors of the data set name it; None for all.
        pictures: folder of the pictures, instead of the documented places.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.
        wording: which text of a sentence.
        allow_missing: leave out samples without their picture, counted in `Dataset.missing`.

    Raises:
        DataError: a file is missing or damaged; it is not said which of several splittings; no such split; pictures
            are missing; or a list of all that is wrong.
    """
    finder = Pictures(layout.folder, pictures)
    dataset = read_all(layout.one(), split, finder, on_problem=on_problem, wording=wording)
    return without_missing(dataset, finder, allow_missing, where_to_get_pictures(layout.folder.resolve().name))


def read_all(
    layout: Layout,
    split: str | None,
    pictures: Pictures,
    *,
    on_problem: OnProblem = "raise",
    wording: Wording = "sent",
) -> Dataset:
    """The samples of one splitting, those included whose picture is missing (`pictures.missing`).

    Raises:
        DataError: as `open_published`, but for missing pictures.
    """
    with _no_collection():
        if layout.kind == "phrasecut":
            return read_phrasecut(layout, split, pictures, on_problem=on_problem)
        (file,) = layout.files.values()
        return read_refer(file, split, pictures, wording=wording, on_problem=on_problem)


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
