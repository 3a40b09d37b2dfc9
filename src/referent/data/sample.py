"""The one sample type (a picture, a reference, and the masks it is true of), and sets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class Dataset:
    """An ordered, finite set of samples.

    Attributes:
        name: printed in results: the file's name behind its folder's.
        samples: in the file's order.
        problems: what was left out of the file because it is wrong.
    """

    name: str
    samples: Sequence[Sample] = field(repr=False)
    problems: tuple[str, ...] = ()
