"""The one sample type (a picture, a reference, and the masks it is true of), and sets of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.reference import Reference
from referent.rle import RLE, Polygons, decode, draw_once
from referent.segmentation import ExactBox

Overlap: TypeAlias = Literal["union", "once"]
"""What becomes of pixels that several polygons of one target cover: the target's, or background."""


@dataclass(frozen=True)
class Sample:
    """One reference to one picture.

    Attributes:
        id: unique within its data set; printed by errors, logs and result files.
        picture: path of the picture; samples of one picture share it, and evaluation groups by it.
        size: (height, width) of the picture in pixels, after EXIF rotation.
        reference: the phrase or (later) examples.
        targets: one RLE a target at the picture's size (drawn when first read, where a data set is large); several for
            a plural phrase, none for a phrase that is true of nothing.
        split: "train", "val", ...
        tags: what kind of phrase this is, for grouping results: {"kind": "position", "name": "cat", ...}.
        polygons: what the targets were drawn from, in their order, for `mask("once")`; an empty entry for a target that
            its file holds as RLE, and no entries where all are.
        crowds: how many of the last targets are crowds (COCO's `iscrowd`): regions of things that nobody counted.
        boxes: of the targets, in their order, as the file says them, which need not be the boxes of their masks; None
            for a target without one, and no entries where none has one.
        labels: class of each target, in their order, as a row of a detector's class head; no entries where the
            reference says what they are.
        void: pixels that nobody judged, one RLE a region; they count neither as target nor as background.
    """

    id: str
    picture: Path
    size: tuple[int, int]
    reference: Reference
    targets: Sequence[RLE]
    split: str = "train"
    tags: Mapping[str, str] = field(default_factory=dict)
    polygons: Sequence[Polygons] = field(default=(), repr=False, compare=False)
    crowds: int = 0
    boxes: Sequence[ExactBox | None] = field(default=(), repr=False, compare=False)
    labels: Sequence[int] = field(default=(), repr=False, compare=False)
    void: Sequence[RLE] = field(default=(), repr=False, compare=False)

    def mask(self, overlap: Overlap = "union") -> NDArray[np.bool_]:
        """(H, W) bool: the union of all targets, all False where there are none.

        Args:
            overlap: "union" takes all pixels of a target. "once" leaves out those that several of its polygons cover,
                as the evaluations of LAVT and MagNet do (they add the decoded parts and keep where the sum is 1); the
                two differ only where polygons of one target overlap.
        """
        union = np.zeros(self.size, dtype=bool)
        for number, target in enumerate(self.targets):
            parts = self.polygons[number] if overlap == "once" and self.polygons else ()
            union |= draw_once(parts, self.size) if len(parts) > 1 else decode(target)
        return union

    def judged(self) -> NDArray[np.bool_]:
        """(H, W) bool: all pixels but those of `void`."""
        judged = np.ones(self.size, dtype=bool)
        for region in self.void:
            judged &= ~decode(region)
        return judged


@dataclass(frozen=True)
class Missing:
    """How many pictures are not there, and how many samples are left out of a data set with them."""

    pictures: int = 0
    phrases: int = 0


@dataclass(frozen=True)
class Dataset:
    """An ordered, finite set of samples.

    Attributes:
        name: printed in results: the file's name behind its folder's.
        samples: in the file's order.
        problems: what was left out of the file because it is wrong.
        missing: what was left out because its picture is missing, where that was allowed.
        classes: where the samples ask for classes, by name of every picture or by examples of each, their names in
            order; else empty.
        whole_pictures: whether what is true of a picture is true of all of it, for want of masks.
        notes: what a reader of numbers should know, a sentence each.
    """

    name: str
    samples: Sequence[Sample] = field(repr=False)
    problems: tuple[str, ...] = ()
    missing: Missing = Missing()
    classes: tuple[str, ...] = ()
    whole_pictures: bool = False
    notes: tuple[str, ...] = ()
