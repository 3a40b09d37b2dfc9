"""Masks as one picture a frame, in which a pixel's value is the number of its object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.videos.video import FrameTruth
from referent.errors import DataError
from referent.files import atomic_path

VOID = 255
"""In DAVIS's pictures, a pixel that does not count."""


def read_labels(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """(H, W) numbers: 0 for none, 1 for the first object, ..., `VOID`.

    Palette pictures hold them as indices. In a picture without palette that has no values but 0 and 255, or one bit a
    pixel, what is not 0 is object 1 (DAVIS 2016); one with three equal channels is read as one with a single channel.

    Args:
        path: a PNG.
        size: (height, width) that it must have.

    Raises:
        DataError: missing, unreadable, coloured, of 16 bits, or of another size.
    """
    try:
        with Image.open(path, formats=("PNG",)) as image:
            values, mode = np.asarray(image), image.mode
    except FileNotFoundError:
        raise DataError(f"{path}: no such mask") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a PNG, or cut off ({error})") from None
    if mode in ("RGB", "RGBA") and (values[..., :3] == values[..., :1]).all():
        values, mode = values[..., 0], "L"
    if values.ndim != 2 or values.dtype not in (np.dtype(bool), np.dtype(np.uint8)):
        raise DataError(f"{path}: expected object numbers in one channel of at most 8 bits, found mode {mode}")
    if size is not None and values.shape != size:
        found = f"{values.shape[0]} x {values.shape[1]}"
        raise DataError(f"{path}: expected {size[0]} x {size[1]} (height x width) as its frame, found {found}")
    if mode == "1":
        values = values.astype(np.uint8)
    if mode == "L" and not ((values != 0) & (values != VOID)).any():
        values = (values == VOID).astype(np.uint8)
    labels: NDArray[np.uint8] = values
    return labels


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """A palette PNG in DAVIS's colours, all of it or nothing.

    Args:
        path: in a folder that is there.
        labels: (H, W) numbers.

    Raises:
        OSError: the folder is not writable or full.
    """
    image = Image.fromarray(labels)
    image.putpalette(palette())
    with atomic_path(path, sync=False) as temporary:
        image.save(temporary, format="PNG")


def palette() -> list[int]:
    """The 256 colours of PASCAL VOC and DAVIS, flat: the bits of the number, three by three, from the highest down."""
    colours = []
    for number in range(256):
        for channel in range(3):
            colours.append(sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)))
    return colours


class LabelPictures:
    """Masks of a video in label pictures.

    Args:
        files: of the frames that have one, by index.
        size: (height, width) of the frames.
        single: everything that is marked is one object, number 1 (DAVIS 2016).
    """

    def __init__(self, files: Mapping[int, Path], size: tuple[int, int], single: bool = False) -> None:
        self._files, self._size, self._single = dict(sorted(files.items())), size, single

    @property
    def annotated(self) -> tuple[int, ...]:
        """Indices of the frames that have a picture."""
        return tuple(self._files)

    def at(self, frame: int) -> FrameTruth:
        """See `Masks.at`."""
        labels = read_labels(self._files[frame], self._size)
        if self._single:
            marked = labels != 0
            return FrameTruth({1: marked} if marked.any() else {})
        void = labels == VOID
        numbers = [int(number) for number in np.flatnonzero(np.bincount(labels.ravel())) if number not in (0, VOID)]
        return FrameTruth({number: labels == number for number in numbers}, void if void.any() else None)
