"""JSON lines behind a header that says whose they are, written so that an interrupted run continues them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from referent.errors import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Header = TypeVar("Header", bound="DataclassInstance")


class HeadedLines(Generic[Header]):
    """A file being written.

    Args:
        path: made when missing; an existing one is continued, a last line that was cut off is dropped.
        header: of this run; an existing file's must be the same.
        kind: what the file holds, for messages.

    Raises:
        DataError: the file was made by another run (the first difference is named), or cannot be read or written.
    """

    def __init__(self, path: Path, header: Header, kind: str) -> None:
        self.path = path
        self.header = header
        try:
            # Unbuffered: what a full disk refused must not be tried again, and fail again, on closing.
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if self._holds_header():
                _check_same(path, read_header(path, type(header), kind), header, kind)
                self._drop_cut_line()
            else:
                self._stream.truncate(0)
                self.append([asdict(header)])
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Nothing is written any more."""
        self._stream.close()

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """More lines, all at once.

        Raises:
            DataError: the file cannot be written.
        """
        content = b"".join(map(_line, lines))
        try:
            while content:
                content = content[self._stream.write(content) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _holds_header(self) -> bool:
        """Whether there is a first line to check; a part of this run's own first line does not count as one."""
        with self.path.open("rb") as stream:
            first = stream.readline()
        return first.endswith(b"\n") or not _line(asdict(self.header)).startswith(first)

    def _drop_cut_line(self) -> None:
        """Cut the file after its last line end: what follows was being written when a run was stopped."""
        with self.path.open("rb+") as stream:
            end = stream.seek(0, 2)
            while end:
                start = max(0, end - 65536)
                stream.seek(start)
                last = stream.read(end - start).rfind(b"\n")
                end = start + last + 1
                if last >= 0:
                    break
                end = start
            stream.truncate(end)


def read_header(path: Path, shape: type[Header], kind: str) -> Header:
    """The first line of a file.

    Args:
        path: the file.
        shape: of the header; where a field has a default, that is the version of the layout, and the file must have it.
        kind: what the file should hold, for messages.

    Raises:
        DataError: missing, another kind of file, or of another version.
    """
    versions = {item.name: item.default for item in fields(shape) if isinstance(item.default, int)}
    try:
        with path.open(encoding="utf-8") as stream:
            first = json.loads(stream.readline())
        for name, version in versions.items():
            if first[name] != version:
                raise DataError(f"{path}: expected format {version}, found {first[name]!r}")
        return shape(**first)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected {kind} of an earlier run") from error


def read_lines(path: Path, shape: type[Header], kind: str) -> Iterator[tuple[int, Any]]:
    """Number and content of each line behind the header.

    Args:
        path, shape, kind: see `read_header`.

    Raises:
        DataError: missing, another kind of file, or a line that is no JSON (its number is named).
    """
    read_header(path, shape, kind)
    with path.open(encoding="utf-8", errors="replace") as stream:
        next(stream)
        for number, line in enumerate(stream, 2):
            try:
                yield number, json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}: line {number}: expected {kind}, found {line[:60]!r}") from error


def _line(content: Mapping[str, Any]) -> bytes:
    # A file name that is no UTF-8 becomes JSON's own escapes.
    return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def _check_same(path: Path, found: Header, expected: Header, kind: str) -> None:
    for item in fields(expected):
        old, new = getattr(found, item.name), getattr(expected, item.name)
        if old != new:
            raise DataError(
                f"{path}: holds {kind} of another run ({item.name} {old!r}, here {new!r}); "
                "remove it or write to another file"
            )


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be written: {error.strerror or error}")
