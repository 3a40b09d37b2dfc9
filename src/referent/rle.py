"""Masks as run lengths: made, read back, and taken from what data files hold (compressed, plain, polygons)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

# A character holds 5 bits; 7 of them hold any count of a picture below 2**31 pixels, with its sign.
_MOST_CHARACTERS = 7


class RLE(TypedDict):
    """COCO's run-length encoding, compressed: `size` is [height, width], `counts` an ASCII string."""

    size: list[int]
    counts: str


Polygons: TypeAlias = Sequence[NDArray[np.float64]]
"""The parts of one object, each [x0, y0, x1, y1, ...] in pixels."""


class BadMaskError(ValueError):
    """A mask that cannot be used; the message says what was found and expected."""


def encode(mask: NDArray[np.bool_]) -> RLE:
    """(H, W) bool to RLE, ready for JSON."""
    from pycocotools import mask as coco_mask

    rle: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: RLE) -> NDArray[np.bool_]:
    """RLE to (H, W) bool.

    Raises:
        BadMaskError: malformed counts.
        ValueError: counts that do not cover `size`.
    """
    height, width = rle["size"]
    runs = decompress(rle["counts"])
    columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height)
    return columns.T


def read_segmentation(value: Any, size: tuple[int, int]) -> RLE:
    """A COCO `segmentation` as compressed RLE.

    Args:
        value: {"size": [H, W], "counts": str, bytes (as pycocotools makes them) or list of run lengths}, or a list of
            polygons [x0, y0, x1, y1, ...] in pixels.
        size: (height, width) of the picture.

    Raises:
        BadMaskError: of another size, empty, or malformed.
    """
    height, width = size
    match value:
        case {"size": found, "counts": bytes() as packed}:
            # What is no ASCII is refused below as it is in text.
            return read_segmentation({"size": found, "counts": packed.decode("latin-1")}, size)
        case {"size": found, "counts": str() as counts}:
            _check_size(found, size)
            runs = decompress(counts)
        case {"size": found, "counts": list() as listed}:
            _check_size(found, size)
            if not all(type(run) is int and 0 <= run <= height * width for run in listed):
                raise BadMaskError("RLE counts: expected whole numbers that fit the picture")
            runs = np.array(listed, dtype=np.int64)
        case list():
            return _from_polygons(value, size)
        case _:
            raise BadMaskError("expected an RLE {size, counts} or a list of polygons")
    if (runs < 0).any() or runs.sum() != height * width:
        raise BadMaskError(f"RLE covers {runs.sum()} pixels, expected {height} x {width} = {height * width}")
    if runs[1::2].sum() == 0:
        raise BadMaskError("empty mask")
    if isinstance(value["counts"], str):
        return {"size": [height, width], "counts": value["counts"]}
    from pycocotools import mask as coco_mask

    packed = coco_mask.frPyObjects({"size": [height, width], "counts": value["counts"]}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def draw(polygons: Polygons, size: tuple[int, int]) -> RLE:
    """The union of an object's parts as pycocotools draws them; no pixel where they are too thin for any.

    Args:
        polygons: at least one, each of at least three corners that do not lie far outside the picture.
        size: (height, width) of the picture.
    """
    from pycocotools import mask as coco_mask

    height, width = size
    merged = coco_mask.merge(coco_mask.frPyObjects(list(polygons), height, width))
    return {"size": [height, width], "counts": merged["counts"].decode("ascii")}


def draw_once(polygons: Polygons, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels that exactly one of an object's parts covers; arguments as for `draw`."""
    from pycocotools import mask as coco_mask

    parts = sum(coco_mask.decode(part).astype(np.int64) for part in coco_mask.frPyObjects(list(polygons), *size))
    once: NDArray[np.bool_] = np.equal(parts, 1)
    return once


def decompress(counts: str) -> NDArray[np.int64]:
    """Run lengths, background first, of COCO's compressed counts.

    Done here as the C decoder trusts its input: runs that exceed the picture must not reach it.

    Raises:
        BadMaskError: characters that do not occur, or an unfinished number.
    """
    code = np.frombuffer(counts.encode("ascii", errors="replace"), dtype=np.uint8).astype(np.int64) - 48
    if not len(code):
        return np.zeros(0, dtype=np.int64)
    if code.min() < 0 or code.max() > 63 or code[-1] & 32:
        raise BadMaskError("RLE counts: not a COCO run-length string")
    ends = np.flatnonzero((code & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > _MOST_CHARACTERS:
        raise BadMaskError("RLE counts: a run too long for any picture")
    shifts = 5 * (np.arange(len(code)) - np.repeat(starts, lengths))
    values: NDArray[np.int64] = np.add.reduceat((code & 31) << shifts, starts)
    values -= np.where(code[ends] & 16, np.int64(1) << (5 * lengths), 0)
    # From the fourth on, a number is the difference to the one before the last.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def _check_size(found: Any, size: tuple[int, int]) -> None:
    if not isinstance(found, (list, tuple)) or tuple(found) != size:
        raise BadMaskError(f"RLE of size {found}, expected {list(size)} (height, width) as its picture")


def read_polygon(value: Any, size: tuple[int, int]) -> NDArray[np.float64]:
    """One polygon of a COCO `segmentation`.

    Args:
        value: [x0, y0, x1, y1, ...] in pixels.
        size: (height, width) of the picture.

    Raises:
        BadMaskError: not such a list, fewer than three corners, or a corner far outside the picture.
    """
    if not isinstance(value, list) or len(value) < 6 or len(value) % 2:
        raise BadMaskError("polygon: expected [x0, y0, x1, y1, ...] of at least three corners")
    try:
        corners = np.array(value)
    except ValueError:  # lists within the list
        corners = np.array("")
    if corners.ndim != 1 or corners.dtype.kind not in "if" or not np.isfinite(corners).all():
        raise BadMaskError("polygon: expected numbers")
    # Far outside the picture the rasteriser would walk billions of steps.
    furthest = np.abs(corners).max()
    if furthest > 10 * max(size):
        raise BadMaskError(f"polygon: a corner at {furthest:g} lies far outside the picture of {size[0]} x {size[1]}")
    return corners.astype(np.float64)


def _from_polygons(polygons: list[Any], size: tuple[int, int]) -> RLE:
    if not polygons:
        raise BadMaskError("empty mask (no polygon)")
    drawn = draw([read_polygon(polygon, size) for polygon in polygons], size)
    if not decompress(drawn["counts"])[1::2].any():
        raise BadMaskError("empty mask (the polygons cover no pixel)")
    return drawn
