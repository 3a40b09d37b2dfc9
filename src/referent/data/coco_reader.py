"""The lists of a COCO file, each checked against those before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from referent.data.checking import MissingFileError, Problems, find_file, kind_of, read_box
from referent.data.coco_records import DEFAULT_SPLIT, CocoAnnotation, CocoImage, CocoPhrase
from referent.data.sample import Missing
from referent.errors import BadReferenceError, DataError, PictureError
from referent.picture import picture_size
from referent.reference import Phrase
from referent.rle import BadMaskError, read_polygon, read_segmentation


class CocoReader:
    """Reads the lists of one file in turn, each checked against those before it.

    Args:
        path: of the file.
        problems: takes what is wrong.
        allow_missing: a picture that is not there is no problem; what is said of it is left out and counted.
    """

    def __init__(self, path: Path, problems: Problems, allow_missing: bool = False) -> None:
        self.path, self.problems, self.allow_missing = path, problems, allow_missing
        self.categories: dict[int, str] = {}
        self.images: dict[int, CocoImage] = {}
        self.annotations: dict[int, CocoAnnotation] = {}
        self.phrases: dict[str, CocoPhrase] = {}
        # Records that stand in the file but are left out: what refers to them is left out without a further word.
        self._other_images: set[int] = set()
        self._other_annotations: set[int] = set()
        self._without_picture: set[int] = set()
        self._phrases_without_picture = 0

    @property
    def missing(self) -> Missing:
        """What was left out for want of its pictures, after all lists are read."""
        return Missing(len(self._without_picture), self._phrases_without_picture)

    def read_categories(self, records: list[Any]) -> None:
        """`categories`: id and name."""
        for record, number in self._with_ids("category", records):
            name = record.get("name")
            if not isinstance(name, str) or not name.strip():
                self.problems.add(f"category {number}", f"`name`: expected text, found {name!r}")
            else:
                self.categories[number] = name

    def read_images(self, records: list[Any], split: str | None, folders: Sequence[Path]) -> None:
        """`images` of the split, their files found and measured."""
        splits: dict[str, None] = {}
        for record, number in self._with_ids("image", records):
            own = record.get("split", DEFAULT_SPLIT)
            splits[str(own)] = None
            if split is not None and own != split:
                self._other_images.add(number)
                continue
            try:
                self.images[number] = _image(record, number, own, folders)
            except (DataError, PictureError) as error:
                if self.allow_missing and isinstance(error, MissingFileError):
                    self._without_picture.add(number)
                else:
                    self.problems.add(f"image {number}", str(error))
                self._other_images.add(number)
        if split is not None and split not in splits:
            raise DataError(f"{self.path}: no split {split!r}; there are: {', '.join(splits) or 'no pictures at all'}")

    def read_annotations(self, records: list[Any]) -> None:
        """`annotations` of those images, their masks checked."""
        for record, number in self._with_ids("annotation", records):
            image_id = record.get("image_id")
            if _among(self._other_images, image_id):
                self._other_annotations.add(number)
                if image_id in self._without_picture and isinstance(record.get("phrases"), list):
                    self._phrases_without_picture += len(record["phrases"])
                continue
            try:
                self.annotations[number] = self._annotation(record, number, image_id)
            except (DataError, BadMaskError) as error:
                self.problems.add(f"annotation {number}", str(error))
                self._other_annotations.add(number)

    def _annotation(self, record: dict[str, Any], number: int, image_id: Any) -> CocoAnnotation:
        image = _looked_up(self.images, image_id)
        if image is None:
            raise DataError(f"`image_id` {image_id!r} is no image of the file")
        category_id = record.get("category_id")
        if type(category_id) is not int or category_id not in self.categories:
            raise DataError(f"`category_id` {category_id!r} is no category of the file")
        phrases = record.get("phrases", [])
        if not isinstance(phrases, list):
            raise DataError(f"`phrases`: expected a list, found {kind_of(phrases)}")
        value = record.get("segmentation")
        mask = read_segmentation(value, image.size)
        polygons = tuple(read_polygon(polygon, image.size) for polygon in value) if isinstance(value, list) else ()
        texts = tuple(_phrase(phrase) for phrase in phrases)
        box, crowd = read_box(record.get("bbox")), bool(record.get("iscrowd"))
        return CocoAnnotation(number, image.id, category_id, mask, crowd, texts, polygons, box)

    def read_phrases(self, records: list[Any]) -> None:
        """`phrases` about those images and annotations."""
        for position, record in enumerate(records):
            number = record.get("id") if isinstance(record, dict) else None
            where = f"phrase at {position}" if number is None else f"phrase {number}"
            try:
                phrase = self._top_level(record)
                if phrase is None:
                    continue
                if str(phrase.id) in self.phrases:
                    raise DataError("duplicate id")
                self.phrases[str(phrase.id)] = phrase
            except DataError as error:
                self.problems.add(where, str(error))

    def _top_level(self, record: Any) -> CocoPhrase | None:
        """None where it is about a picture or annotation that is left out."""
        if not isinstance(record, dict) or type(record.get("id")) not in (int, str):
            raise DataError("expected an object with an `id`")
        image_id, numbers, tags = record.get("image_id"), record.get("annotation_ids"), record.get("tags", {})
        if _among(self._other_images, image_id):
            self._phrases_without_picture += image_id in self._without_picture
            return None
        image = _looked_up(self.images, image_id)
        if image is None:
            raise DataError(f"`image_id` {image_id!r} is no image of the file")
        if not isinstance(numbers, list):
            raise DataError(f"`annotation_ids`: expected a list (empty: true of nothing), found {kind_of(numbers)}")
        for number in numbers:
            if _among(self._other_annotations, number):
                return None
            annotation = _looked_up(self.annotations, number)
            if annotation is None or annotation.image_id != image.id:
                raise DataError(f"`annotation_ids`: {number!r} is no annotation of image {image_id}")
        if len(set(numbers)) < len(numbers):
            raise DataError(f"`annotation_ids`: the same annotation twice in {numbers}")
        if not isinstance(tags, dict):
            raise DataError(f"`tags`: expected an object, found {kind_of(tags)}")
        text = _phrase(record.get("phrase"))
        return CocoPhrase(record["id"], image.id, text, tuple(numbers), {key: str(tags[key]) for key in tags})

    def _with_ids(self, kind: str, records: list[Any]) -> Iterator[tuple[dict[str, Any], int]]:
        """Records with whole-number ids, the first of each id."""
        seen: set[int] = set()
        for position, record in enumerate(records):
            number = record.get("id") if isinstance(record, dict) else None
            if type(number) is not int:
                self.problems.add(
                    f"{kind} at {position}", f"expected an object with a whole number `id`, found {number!r}"
                )
            elif number in seen:
                self.problems.add(f"{kind} {number}", "duplicate id")
            else:
                seen.add(number)
                yield record, number


def _image(record: dict[str, Any], number: int, split: Any, folders: Sequence[Path]) -> CocoImage:
    if not isinstance(split, str):
        raise DataError(f"`split`: expected text, found {split!r}")
    size = record.get("height"), record.get("width")
    if not all(type(side) is int and side > 0 for side in size):
        raise DataError(f"`height`, `width`: expected whole numbers above 0, found {size[0]!r}, {size[1]!r}")
    path = find_file(record.get("file_name"), folders)
    found = picture_size(path)
    if found != size:
        is_, says = (f"{sides[0]} x {sides[1]}" for sides in (found, size))
        raise DataError(f"{path}: height x width is {is_} (after EXIF rotation), the file says {says}")
    return CocoImage(number, path, found, split)


def _phrase(value: Any) -> str:
    try:
        return Phrase(value).text
    except BadReferenceError as error:
        raise DataError(str(error)) from None


def _among(ids: set[int], value: Any) -> bool:
    return type(value) is int and value in ids


def _looked_up(table: Mapping[int, Any], key: Any) -> Any:
    return table.get(key) if type(key) is int else None
