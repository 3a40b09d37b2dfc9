"""Folders of frames."""

from __future__ import annotations

from pathlib import Path

from referent.errors import DataError, PictureError
from referent.picture import picture_size

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def frames_in(folder: Path) -> tuple[Path, ...]:
    """The frames of a folder in order of their numbers; other files are left alone.

    Raises:
        DataError: no such folder, or no frames in it.
    """
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
    if not found:
        raise DataError(f"{folder}: expected frames (00000.jpg, ...), found none")
    return tuple(sorted(found, key=_order))


def size_of(frame: Path) -> tuple[int, int]:
    """(height, width) of a frame, from its header.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return picture_size(frame)
    except PictureError as error:
        raise DataError(str(error)) from None


def _order(path: Path) -> tuple[int, str]:
    # "9.jpg" comes before "10.jpg", should a set be without leading zeros.
    return (int(path.stem) if path.stem.isdecimal() else -1, path.stem)
