"""Targets that are drawn when they are first read: a data set of 50,000 objects opens without drawing one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Protocol, overload

from referent.rle import RLE, Polygons, draw


class Target(Protocol):
    """One object that is drawn when its mask is first read."""

    @property
    def parts(self) -> Polygons:
        """Its polygons; none where it is drawn from something else."""

    @property
    def rle(self) -> RLE:
        """Its mask."""


class Outline:
    """One object.

    Args:
        parts: its polygons.
        size: (height, width) of its picture.
        drawing: turns them into a mask; pycocotools' rule unless a data set has its own.
    """

    def __init__(
        self,
        parts: Polygons,
        size: tuple[int, int],
        drawing: Callable[[Polygons, tuple[int, int]], RLE] = draw,
    ) -> None:
        self.parts, self._size, self._drawing = parts, size, drawing

    @cached_property
    def rle(self) -> RLE:
        """Its mask; drawn once."""
        return self._drawing(self.parts, self._size)


class Region:
    """One object that its file holds as a mask."""

    parts: Polygons = ()

    def __init__(self, rle: RLE) -> None:
        self.rle = rle


class Targets(Sequence[RLE]):
    """What `Sample.targets` is: the masks of some objects, which other samples may share."""

    def __init__(self, objects: Sequence[Target]) -> None:
        self._objects = tuple(objects)

    @property
    def polygons(self) -> tuple[Polygons, ...]:
        """What `Sample.polygons` is."""
        parts = tuple(item.parts for item in self._objects)
        return parts if any(parts) else ()

    def __len__(self) -> int:
        return len(self._objects)

    @overload
    def __getitem__(self, index: int) -> RLE: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RLE]: ...

    def __getitem__(self, index: int | slice) -> RLE | Sequence[RLE]:
        if isinstance(index, slice):
            return Targets(self._objects[index])
        return self._objects[index].rle

    def __iter__(self) -> Iterator[RLE]:
        return (item.rle for item in self._objects)
