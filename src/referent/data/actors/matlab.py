"""Arrays out of MATLAB files of version 5 (the format before HDF5), without scipy.

The format is published: "MAT-File Format", The MathWorks. Read are plain numeric arrays, packed or not.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError

HEADER = 128
_PACKED, _MATRIX = 15, 14
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)
"""Classes of arrays of numbers: double to uint64."""


def read_matlab(path: Path, name: str) -> NDArray[Any]:
    """The array of this name.

    Raises:
        DataError: missing, no MATLAB file of version 5, cut off, or without such an array.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if content[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
        raise DataError(f"{path}: expected a MATLAB file of version 5")
    if content[126:128] == b"MI":
        raise DataError(f"{path}: written on a machine of another byte order; save it again")
    try:
        found = dict(_arrays(content[HEADER:]))
    except (struct.error, zlib.error, ValueError, IndexError):
        raise DataError(f"{path}: cut off or damaged") from None
    if name not in found:
        raise DataError(f"{path}: expected an array {name!r}, found {', '.join(found) or 'none'}")
    return found[name]


def _arrays(content: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
    for kind, data in _elements(content):
        if kind == _PACKED:
            yield from _arrays(zlib.decompress(data))
        elif kind == _MATRIX:
            (_, flags), (_, sizes), (_, name), *parts = _elements(data)
            if flags[0] in _NUMERIC and parts:
                of_values, values = parts[0]
                shape = np.frombuffer(sizes, "<i4")
                array = np.frombuffer(values, np.dtype(_TYPES[of_values]).newbyteorder("<"))
                yield name.decode("ascii"), array.reshape(shape, order="F")


def _elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and data of each element; those of at most four bytes carry their data in the tag."""
    place = 0
    while place + 8 <= len(content):
        kind, length = struct.unpack_from("<II", content, place)
        if kind >> 16:
            yield kind & 0xFFFF, content[place + 4 : place + 4 + (kind >> 16)]
            place += 8
            continue
        data = content[place + 8 : place + 8 + length]
        if len(data) != length:
            raise ValueError("cut off")
        yield kind, data
        # Elements begin at multiples of eight; packed ones follow each other closely.
        place += 8 + length + (-length % 8 if kind != _PACKED else 0)
