"""Read a treebank in the CoNLL-U format (universaldependencies.org/format.html), gzipped or not."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from referent.errors import DataError
from referent.parsing.treebank.tree import Tree

COLUMNS = 10


def read_conllu(path: str | Path) -> Iterator[Tree]:
    """The trees of a treebank, in order: basic dependencies, with the language's own tags (column XPOS).

    The parts of a multi-word token ("don't") are words; words that were left out in speech (numbers like 8.1) are not.

    Raises:
        DataError: unreadable, or a sentence that is no tree; the message names the line.
    """
    path = Path(path)
    try:
        with _opened(path) as lines:
            rows: list[list[str]] = []
            number = 0
            for number, line in enumerate(lines, 1):
                if line.strip() and not line.startswith("#"):
                    rows.append(_columns(line, f"{path}: line {number}"))
                elif rows and not line.strip():
                    yield _tree(rows, f"{path}: the sentence before line {number}")
                    rows = []
            if rows:
                yield _tree(rows, f"{path}: the last sentence, line {number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a CoNLL-U file, gzipped or not: {error}") from None


def _opened(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _columns(line: str, where: str) -> list[str]:
    columns = line.rstrip("\n").split("\t")
    if len(columns) != COLUMNS:
        raise DataError(f"{where}: expected {COLUMNS} columns separated by tabs, found {len(columns)}")
    return columns


def _tree(rows: list[list[str]], where: str) -> Tree:
    words = [row for row in rows if row[0].isdecimal()]
    unspaced = {int(row[0].split("-")[-1]) for row in rows if "." not in row[0] and "SpaceAfter=No" in row[9]}
    inside = {
        number
        for row in rows
        if "-" in row[0]
        for number in range(int(row[0].split("-")[0]), int(row[0].split("-")[1]))
    }
    if not all(row[6].isdecimal() and int(row[6]) <= len(words) for row in words):
        raise DataError(f"{where}: expected heads from 0 to {len(words)} in column 7")
    heads = [int(row[6]) - 1 for row in words]
    if heads.count(-1) != 1:
        raise DataError(f"{where}: expected one root, found {heads.count(-1)}")
    return Tree(
        words=[row[1] for row in words],
        tags=[row[4] for row in words],
        heads=[index if head < 0 else head for index, head in enumerate(heads)],
        deps=[row[7] for row in words],
        spaces=[int(row[0]) not in unspaced | inside for row in words],
    )
