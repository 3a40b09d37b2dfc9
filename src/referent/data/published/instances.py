"""`instances.json`: the pictures and objects that refs point at. Masks are read only of the objects asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from referent.data.checking import read_box
from referent.data.coco_json import CategoryRecord, ImageRecord
from referent.data.published.json_files import read_json
from referent.data.published.targets import Outline, Region
from referent.errors import DataError
from referent.rle import BadMaskError, read_polygon, read_segmentation
from referent.segmentation import ExactBox

NOTHING = (b"", b"null", b"[]")


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int = -1
    iscrowd: int | bool = 0
    segmentation: msgspec.Raw = msgspec.Raw()
    bbox: msgspec.Raw = msgspec.Raw()


class _Content(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[_Annotation]
    categories: list[CategoryRecord]


@dataclass(frozen=True)
class Picture:
    """A picture of the file; `size` is (height, width) as the file says: the picture itself is not opened."""

    file_name: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Boxed:
    """An annotation of the file without its mask."""

    id: int
    box: ExactBox
    category_id: int
    crowd: bool


@dataclass(frozen=True)
class Object:
    """An annotation of the file.

    Attributes:
        image_id: of its picture.
        target: its mask.
        box: as the file says it; None where it says none.
        category: name of its class, None where the file names none.
        alike: how many objects of its class the picture has, itself included, crowds not.
        crowd: whether it is many things that nobody told apart.
    """

    image_id: int
    target: Outline | Region
    box: ExactBox | None
    category: str | None
    alike: int
    crowd: bool


class Instances:
    """Pictures and objects by their ids.

    Args:
        path: a file in COCO's layout.

    Raises:
        DataError: missing, cut off, not in COCO's layout, or an id stands for two different things.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        content: _Content = read_json(path, _Content, "COCO's images, annotations and categories")
        self._images = _by_id(path, "images", content.images)
        self._annotations = _by_id(path, "annotations", content.annotations)
        self._categories = {category.id: category.name for category in content.categories}
        self._objects: dict[int, Object] = {}

    def __contains__(self, image_id: Any) -> bool:
        return type(image_id) is int and image_id in self._images

    @cached_property
    def boxes_only(self) -> bool:
        """Whether the file has boxes and no masks at all, as RefGTA's."""
        return all(bytes(one.segmentation) in NOTHING for one in self._annotations.values())

    @cached_property
    def _alike(self) -> Counter[tuple[int, int]]:
        return Counter((one.image_id, one.category_id) for one in self._annotations.values() if not one.iscrowd)

    @cached_property
    def _by_image(self) -> dict[int, list[_Annotation]]:
        found: dict[int, list[_Annotation]] = {}
        for one in self._annotations.values():
            found.setdefault(one.image_id, []).append(one)
        return found

    def picture(self, image_id: Any) -> Picture:
        """The picture of this id.

        Raises:
            DataError: there is none, or its size is impossible.
        """
        if image_id not in self:
            raise DataError(f"`image_id` {image_id!r} is no image of {self.path.name}")
        image = self._images[image_id]
        if min(image.size) < 1:
            raise DataError(f"{self.path.name}: image {image_id}: expected a size above 0, found {image.size}")
        return Picture(image.file_name, image.size)

    def object(self, annotation_id: Any, image_id: int) -> Object:
        """The annotation of this id, which must be of this picture.

        Raises:
            DataError: there is none, it is of another picture, or its mask is unusable.
        """
        if type(annotation_id) is not int or annotation_id not in self._annotations:
            raise DataError(f"`ann_id` {annotation_id!r} is no annotation of {self.path.name}")
        if annotation_id not in self._objects:
            self._objects[annotation_id] = self._read(self._annotations[annotation_id])
        found = self._objects[annotation_id]
        if found.image_id != image_id:
            raise DataError(f"`ann_id` {annotation_id} is of image {found.image_id}, the ref of image {image_id}")
        return found

    def boxes(self, image_id: int) -> list[Boxed]:
        """All annotations of a picture that have a box, in the file's order; masks are not read.

        Raises:
            DataError: a `bbox` that is none.
        """
        found = []
        for one in self._by_image.get(image_id, []):
            try:
                box = _box(one)
            except DataError as error:
                raise DataError(f"{self.path.name}: annotation {one.id}: {error}") from None
            if box is not None:
                found.append(Boxed(one.id, box, one.category_id, bool(one.iscrowd)))
        return found

    def _read(self, one: _Annotation) -> Object:
        size = self.picture(one.image_id).size
        try:
            box = _box(one)
            target = _filled(box, size) if self.boxes_only else read_target(one.segmentation, size)
        except (BadMaskError, DataError, msgspec.MsgspecError) as error:
            raise DataError(f"{self.path.name}: annotation {one.id}: {error}") from None
        alike = self._alike[one.image_id, one.category_id]
        return Object(one.image_id, target, box, self._categories.get(one.category_id), alike, bool(one.iscrowd))


def _box(one: _Annotation) -> ExactBox | None:
    return read_box(msgspec.json.decode(one.bbox) if one.bbox else None)


def read_target(value: msgspec.Raw, size: tuple[int, int]) -> Outline | Region:
    """A COCO `segmentation`, its polygons not yet drawn.

    Args:
        value: JSON, not yet parsed.
        size: (height, width) of its picture.

    Raises:
        BadMaskError: of another size, empty, or malformed.
        msgspec.MsgspecError: no JSON.
    """
    segmentation = msgspec.json.decode(value) if value else None
    if not isinstance(segmentation, list):
        return Region(read_segmentation(segmentation, size))
    # Two corners enclose nothing; the authors' loaders leave such parts out.
    parts = [read_polygon(part, size) for part in segmentation if not (isinstance(part, list) and len(part) < 6)]
    if not parts:
        raise BadMaskError("empty mask (no polygon)")
    return Outline(parts, size)


def _filled(box: ExactBox | None, size: tuple[int, int]) -> Outline:
    if box is None:
        raise BadMaskError("expected a `segmentation` or a `bbox`")
    left, top, width, height = box
    right, bottom = left + width, top + height
    return Outline([read_polygon([left, top, right, top, right, bottom, left, bottom], size)], size)


_Record = TypeVar("_Record", ImageRecord, _Annotation)


def _by_id(path: Path, key: str, records: Sequence[_Record]) -> dict[int, _Record]:
    found = {record.id: record for record in records}
    if len(found) < len(records):
        # The same record twice does no harm.
        for record in records:
            if record != found[record.id]:
                raise DataError(f"{path}: `{key}`: duplicate id {record.id}")
    return found
