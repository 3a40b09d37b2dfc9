"""Data files at the door: read or refused, and all that is wrong with one named at once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from referent.errors import DataError
from referent.segmentation import ExactBox

OnProblem: TypeAlias = Literal["raise", "skip"]


class MissingFileError(DataError):
    """A file that another names is not there."""


LISTED = 20
"""Problems an error message lists; it counts the rest."""

_logger = logging.getLogger(__name__)


class Problems:
    """Collects what is wrong with one file, then raises it, or reports it and lets the rest be used.

    Args:
        path: the file.
        on_problem: "raise", or "skip": leave out what is wrong, and say so in the log.
    """

    def __init__(self, path: Path, on_problem: OnProblem) -> None:
        self.path, self.on_problem = path, on_problem
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        """`where` in the file ("annotation 7", "line 12"), `what` was found and expected."""
        self.found.append(f"{where}: {what}")

    def settle(self) -> tuple[str, ...]:
        """All problems, logged as one warning.

        Raises:
            DataError: there are problems and they are to be raised; lists the first `LISTED` and counts all.
        """
        if not self.found:
            return ()
        if self.on_problem == "raise":
            raise DataError(self._summary(""))
        _logger.warning("%s", self._summary(", left out"))
        return tuple(self.found)

    def _summary(self, done: str) -> str:
        count = len(self.found)
        lines = [f"{self.path}: {count} problem{'s' if count > 1 else ''}{done}"]
        lines += [f"  {problem}" for problem in self.found[:LISTED]]
        if count > LISTED:
            lines.append(f"  ... and {count - LISTED} more")
        return "\n".join(lines)


def read_box(value: Any) -> ExactBox | None:
    """A `bbox` of a data file; None where there is none (null, [] or one without area).

    Raises:
        DataError: anything but [x, y, width, height].
    """
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(type(each) in (int, float) for each in value):
        raise DataError(f"`bbox`: expected [x, y, width, height], found {value!r:.80}")
    x, y, width, height = map(float, value)
    return (x, y, width, height) if width > 0 and height > 0 else None


def read_text(path: Path) -> str:
    """The text of a data file, with or without a byte order mark.

    Raises:
        DataError: missing, a folder, unreadable, not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a COCO or .jsonl file, found a folder") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text, found byte {error.object[error.start]:#04x}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def parse_json(text: str, where: str) -> Any:
    """JSON to objects.

    Raises:
        DataError: `where` and the line and column of the first mistake.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: line {error.lineno}, column {error.colno}: broken JSON ({error.msg})") from None
    except RecursionError:
        raise DataError(f"{where}: broken JSON (nested too deeply)") from None


def kind_of(value: Any) -> str:
    """What a JSON value is, for messages."""
    return "nothing" if value is None else type(value).__name__


def find_file(name: Any, folders: Sequence[Path]) -> Path:
    """The file of this name in the first folder that has it.

    Raises:
        MissingFileError: no folder has it.
        DataError: `name` is no text.
    """
    if not isinstance(name, str) or not name:
        raise DataError(f"file name: expected text, found {name!r}")
    for folder in folders:
        if os.path.isfile(folder / name):  # noqa: PTH113  (unlike Path.is_file it never raises)
            return folder / name
    others = "".join(f", nor in {folder}" for folder in folders[1:])
    raise MissingFileError(f"no such file: {folders[0] / name}{others}")
