"""Masks as COCO's run lengths, one list a thing with an entry a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from referent.data.videos.video import FrameTruth
from referent.errors import DataError
from referent.rle import BadMaskError, decode, read_segmentation


class RunLengths:
    """Masks of a video whose things may overlap.

    Args:
        lists: for each object's number what gives its list: null where it is not seen, else an RLE or polygons.
        size: (height, width) of the frames.
        length: how many frames there are.
    """

    def __init__(self, lists: Mapping[int, Callable[[], Sequence[Any]]], size: tuple[int, int], length: int) -> None:
        self._lists, self._size, self._length = lists, size, length
        self._read: dict[int, Sequence[Any]] = {}

    @property
    def annotated(self) -> range:
        """Every frame."""
        return range(self._length)

    def at(self, frame: int) -> FrameTruth:
        """See `Masks.at`."""
        masks = {}
        for number in self._lists:
            found = self._list(number)[frame]
            if found:
                try:
                    mask = decode(read_segmentation(found, self._size))
                except BadMaskError as error:
                    raise DataError(f"object {number}, frame {frame}: {error}") from None
                masks[number] = mask
        return FrameTruth(masks)

    def first(self, number: int) -> int | None:
        """Index of the first frame that shows an object; None where none does."""
        return next((frame for frame, found in enumerate(self._list(number)) if found), None)

    def _list(self, number: int) -> Sequence[Any]:
        if number not in self._read:
            found = self._lists[number]()
            if len(found) != self._length:
                raise DataError(f"object {number}: expected {self._length} masks, as frames, found {len(found)}")
            self._read[number] = found
        return self._read[number]
