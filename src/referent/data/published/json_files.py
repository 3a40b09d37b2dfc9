"""Large JSON files of a known shape, read quickly: shapes are checked on the way, and what is not named is skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from referent.errors import DataError

Shape = TypeVar("Shape")


def read_json(path: Path, shape: type[Shape] | Any, expected: str, *, strict: bool = True) -> Shape:
    """The file's content.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        shape: its type, as `msgspec.json.decode` takes it.
        expected: what it should be, for messages.
        strict: off, numbers may be written as text.

    Raises:
        DataError: missing, unreadable, broken JSON, or JSON of another shape.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
        found: Shape = msgspec.json.decode(content, type=shape, strict=strict)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except msgspec.ValidationError as error:
        raise DataError(f"{path}: expected {expected}: {_as_text(error)}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{path}: cut off or broken JSON: {_as_text(error)}") from None
    return found


def _as_text(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
