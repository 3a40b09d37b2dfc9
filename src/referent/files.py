"""Paths as users write them, and writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """`path` with the user's home for a leading ~; as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextmanager
def atomic_path(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary path in the same folder; on success it is fsynced and renamed to `path`, on error removed.

    The folder must exist. An `OSError` (full disk, no permission) leaves an earlier file at `path` untouched. Without
    `sync` only a power cut can leave half a file: for thousands of files that can be made again.
    """
    temporary, mode = _created(path)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as stream:
                os.fsync(stream.fileno())
        temporary.chmod(mode)  # whoever wrote it may have put a file of its own in its place
        temporary.replace(path)
        if sync:
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes | str) -> None:
    """`content` to `path`, all of it or nothing; text as UTF-8.

    A file name that is no UTF-8, inside JSON, is written as JSON's own escapes and reads back as the same name.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode(errors="backslashreplace") if isinstance(content, str) else content)


def _created(path: Path) -> tuple[Path, int]:
    """An empty file beside `path`, and the permissions that the system gives to a new one.

    A file tells them; to ask for the umask is to change it for a moment, in all threads.
    """
    while True:
        temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.partial"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        return temporary, mode
