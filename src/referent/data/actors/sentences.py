"""The comma-separated lists of A2D's and JHMDB's sentences."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from referent.data.checking import read_text
from referent.errors import DataError


def read_sentences(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """One dictionary a line.

    Args:
        path: UTF-8, with the names of its columns in the first line.
        columns: that it must have.

    Raises:
        DataError: missing, unreadable, or without a column.
    """
    lines = list(csv.DictReader(read_text(path).splitlines(), skipinitialspace=True))
    missing = [name for name in columns if not lines or lines[0].get(name) is None]
    if missing:
        raise DataError(f"{path}: expected the columns {', '.join(columns)}, found no {', '.join(missing)}")
    return [{name: (line[name] or "").strip() for name in columns} for line in lines]
