"""The one sample type: a picture, a reference, and the masks it is true of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from referent.reference import Reference


class RLE(TypedDict):
    """COCO's run-length encoding, compressed: `size` is [height, width], `counts` an ASCII string."""

    size: list[int]
    counts: str


def decode(rle: RLE) -> NDArray[np.bool_]:
    """RLE to (H, W) bool."""
    from pycocotools import mask as coco_mask

    decoded: NDArray[np.uint8] = coco_mask.decode({"size": rle["size"], "counts": rle["counts"].encode("ascii")})
    return decoded.astype(bool)


def encode(mask: NDArray[np.bool_]) -> RLE:
    """(H, W) bool to RLE with a text `counts`, ready for JSON."""
    from pycocotools import mask as coco_mask

    rle: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


@dataclass(frozen=True)
class Sample:
    """One reference to one picture.

    Attributes:
        id: unique within its data set; printed by errors, logs and result files.
        picture: path of the picture; samples of one picture share it, and evaluation groups by it.
        size: (height, width) of the picture in pixels, after EXIF rotation.
        reference: the phrase or (later) examples.
        targets: one RLE a target at the picture's size; several for a plural phrase, none for a phrase that is true
            of nothing.
        split: "train", "val", ...
        tags: what kind of phrase this is, for grouping results: {"kind": "position", "name": "cat", ...}.
    """

    id: str
    picture: Path
    size: tuple[int, int]
    reference: Reference
    targets: tuple[RLE, ...]
    split: str = "train"
    tags: Mapping[str, str] = field(default_factory=dict)

    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool: the union of all targets, all False where there are none."""
        union = np.zeros(self.size, dtype=bool)
        for target in self.targets:
            union |= decode(target)
        return union


class Dataset(Protocol):
    """An ordered, finite set of samples."""

    name: str

    @property
    def samples(self) -> Sequence[Sample]: ...
