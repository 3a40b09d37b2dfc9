"""What a checked COCO file holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from referent.data.sample import Missing
from referent.rle import RLE, Polygons
from referent.segmentation import ExactBox

DEFAULT_SPLIT = "train"
"""The split of a picture that names none."""


@dataclass(frozen=True)
class CocoImage:
    """A picture of a COCO file; `size` is (height, width) after EXIF rotation, equal to the file's."""

    id: int
    path: Path
    size: tuple[int, int]
    split: str


@dataclass(frozen=True)
class CocoAnnotation:
    """An object: a mask that is not empty and has its picture's size; `polygons` where the file draws it by some;
    `box` as the file says it, None where it says none."""

    id: int
    image_id: int
    category_id: int
    mask: RLE
    crowd: bool
    phrases: tuple[str, ...] = ()
    polygons: Polygons = ()
    box: ExactBox | None = None


@dataclass(frozen=True)
class CocoPhrase:
    """A phrase about a picture; without annotations it is true of nothing there."""

    id: int | str
    image_id: int
    phrase: str
    annotation_ids: tuple[int, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Coco:
    """A checked COCO file in memory.

    Attributes:
        path: of the file.
        folders: where its pictures are looked for.
        images: by id, in the file's order.
        annotations: by image id, in the file's order; every image has an entry.
        categories: name by id.
        phrases: of the top-level list.
        problems: what was left out (with `on_problem="skip"`).
        content: the file's JSON as it stood, fields unknown here included.
        missing: what was left out for want of its pictures (with `allow_missing`).
    """

    path: Path
    folders: tuple[Path, ...]
    images: Mapping[int, CocoImage]
    annotations: Mapping[int, tuple[CocoAnnotation, ...]]
    categories: Mapping[int, str]
    phrases: tuple[CocoPhrase, ...]
    problems: tuple[str, ...]
    content: Mapping[str, Any]
    missing: Missing = field(default_factory=Missing)
