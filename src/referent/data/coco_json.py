"""Pictures and categories of COCO files as JSON has them, for readers of files too large to be held as objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from referent.data.checking import Problems
from referent.data.coco_records import DEFAULT_SPLIT
from referent.errors import DataError


class ImageRecord(msgspec.Struct, gc=False):
    """An entry of `images`; sizes in pixels."""

    id: int
    file_name: str
    height: int
    width: int
    split: str = DEFAULT_SPLIT

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


class CategoryRecord(msgspec.Struct, gc=False):
    """An entry of `categories`."""

    id: int
    name: str


def pictures_of(
    path: Path,
    records: Iterable[ImageRecord],
    split: str | tuple[str, ...] | None,
    find: Callable[[str], Path],
    problems: Problems,
) -> dict[int, tuple[ImageRecord, Path]]:
    """The pictures of a split, or of several, with their files, by id.

    Args:
        path: of the COCO file, for messages.
        records: its `images`.
        split: only the pictures of this split, or of these; None for all.
        find: the file of a `file_name`; raises DataError where there is none.
        problems: told of missing files, impossible sizes and duplicate ids.

    Raises:
        DataError: no such split, or what `problems` does not skip.
    """
    wanted = (split,) if isinstance(split, str) else split
    found: dict[int, tuple[ImageRecord, Path]] = {}
    splits: dict[str, None] = {}
    for image in records:
        splits[image.split] = None
        if wanted is not None and image.split not in wanted:
            continue
        try:
            if min(image.size) < 1:
                raise DataError(f"expected a size above 0, found {image.height} x {image.width}")
            if image.id in found:
                raise DataError("duplicate id")
            found[image.id] = image, find(image.file_name)
        except DataError as error:
            problems.add(f"image {image.id}", str(error))
    for name in wanted or ():
        if name not in splits:
            raise DataError(f"{path}: no split {name!r}; there are: {', '.join(splits) or 'no pictures at all'}")
    return found
