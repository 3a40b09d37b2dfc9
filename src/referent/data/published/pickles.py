"""Pickles of plain containers, and nothing else: `refs(unc).p` is one, written by Python 2."""

from __future__ import annotations

import codecs
import pickle
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from referent.errors import DataError

_FALLBACK = "referent-latin-1"


class _PlainUnpickler(pickle.Unpickler):
    """Lists, tuples, dicts, text, bytes, numbers, booleans and None; whatever would look up a name is refused.

    A pickle runs code only through the names it looks up, so nothing runs.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="utf-8", errors=_FALLBACK)

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain lists, dicts, text and numbers do")


def read_pickle(path: Path) -> Any:
    """The content of a pickle; Python 2's byte strings become text, UTF-8 or else Latin-1.

    What a hostile file can still do is ask for more memory than there is.

    Raises:
        DataError: missing, cut off, not a pickle, or one that holds more than plain containers.
    """
    try:
        with path.open("rb") as stream:
            return _PlainUnpickler(stream).load()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError as error:
        raise DataError(f"{path}: not a pickle that can be used: {error}") from None
    except Exception as error:  # a damaged pickle raises anything
        found = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cut off or damaged ({found}); get it again") from None


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_FALLBACK, _as_latin_1)
