"""The one sample type: a picture, a reference, and the masks it is true of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from referent.reference import Reference
from referent.rle import RLE, decode


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
