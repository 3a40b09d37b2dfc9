"""Whether files can be written, asked before the work that fills them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from referent.errors import DataError


def check_writable(paths: Iterable[Path | None]) -> None:
    """Better now than after an hour of work.

    Raises:
        DataError: a path (None is passed over) is a folder or lies in none.
    """
    for path in paths:
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise DataError(f"{path}: cannot be written: there is no folder {path.absolute().parent}")
        if path.is_dir():
            raise DataError(f"{path}: cannot be written: it is a folder")
