"""The classes of any COCO instances file. No mask is parsed and no picture opened before an episode needs it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from referent.data.checking import OnProblem, Problems, find_file
from referent.data.class_names import as_phrase
from referent.data.coco_json import CategoryRecord, ImageRecord, pictures_of
from referent.data.few_shot.class_set import ClassSet, Drawn, class_sample
from referent.data.few_shot.splits import split_names
from referent.data.published.instances import read_target
from referent.data.published.json_files import read_json
from referent.data.published.targets import Targets
from referent.data.sample import Sample
from referent.errors import DataError
from referent.rle import RLE, BadMaskError, decode

PICTURE_FOLDERS = ("", "images", *(f"../{name}" for name in ("images", "train2014", "val2014", "train2017", "val2017")))
"""Where pictures are looked for, from the file's folder."""


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    segmentation: msgspec.Raw = msgspec.Raw()
    area: float | None = None


class _Content(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[_Annotation]
    categories: list[CategoryRecord]


def read_coco_classes(
    path: Path,
    split: str | None = None,
    *,
    pictures: Path | None = None,
    min_area: int = 0,
    on_problem: OnProblem = "raise",
) -> ClassSet:
    """The classes of a COCO file that some picture of the split shows, in order of category id.

    A class's mask in a picture is the union of its annotations there, crowds included.

    Args:
        path: the file.
        split: only the pictures of this split (a picture that names none is of "train"), or of several with commas;
            None for all.
        pictures: folder of the pictures, instead of `PICTURE_FOLDERS`.
        min_area: leave out a class of a picture whose annotations there have fewer pixels together, by their `area`.
        on_problem: "raise", or "skip" to leave out what is wrong, with a warning in the log.

    Raises:
        DataError: no COCO file, no such split, no usable picture; or, unless skipped, missing pictures, impossible
            sizes and unknown ids. A broken mask is found when it is drawn.
    """
    content: _Content = read_json(path, _Content, "COCO's images, annotations and categories")
    problems = Problems(path, on_problem)
    folders = [pictures] if pictures else [path.absolute().parent / name for name in PICTURE_FOLDERS]
    splits = split_names(split)
    images = pictures_of(path, content.images, splits, lambda name: find_file(name, folders), problems)
    names = {category.id: as_phrase(category.name) for category in content.categories}
    members = _by_class(content, images, names, problems)
    classes: dict[str, list[Sample]] = {names[number]: [] for number in sorted(names)}
    for (name, image_id), parts in members.items():
        image, file = images[image_id]
        size = image.height, image.width
        try:
            if min_area and sum(_area(path, one, size) for one in parts) < min_area:
                continue
        except DataError as error:
            problems.add(f"image {image_id}", str(error))
            continue
        targets = Targets([Drawn(partial(_drawn, path, one, size)) for one in parts])
        classes[name].append(class_sample(f"{name}/{image_id}", name, file, size, targets, image.split))
    left_out = problems.settle()
    found = {name: samples for name, samples in classes.items() if samples}
    if not found:
        raise DataError(f"{path}: no picture shows a class" + (f" in split {split!r}" if split else ""))
    return ClassSet(f"{path.absolute().parent.name}/{path.name}", found, left_out)


def _by_class(
    content: _Content, images: Mapping[int, tuple[ImageRecord, Path]], names: Mapping[int, str], problems: Problems
) -> dict[tuple[str, int], list[_Annotation]]:
    """Annotations by class and image id, in order of the images."""
    known = {image.id for image in content.images}
    members: dict[tuple[str, int], list[_Annotation]] = {}
    for one in content.annotations:
        if one.image_id not in known:
            problems.add(f"annotation {one.id}", f"`image_id` {one.image_id} is no image of the file")
        elif one.category_id not in names:
            problems.add(f"annotation {one.id}", f"`category_id` {one.category_id} is no category of the file")
        elif one.image_id in images:
            members.setdefault((names[one.category_id], one.image_id), []).append(one)
    place = {number: row for row, number in enumerate(images)}
    return dict(sorted(members.items(), key=lambda item: place[item[0][1]]))


def _area(path: Path, one: _Annotation, size: tuple[int, int]) -> float:
    return float(decode(_drawn(path, one, size)).sum()) if one.area is None else one.area


def _drawn(path: Path, one: _Annotation, size: tuple[int, int]) -> RLE:
    try:
        return read_target(one.segmentation, size).rle
    except (BadMaskError, msgspec.MsgspecError) as error:
        raise DataError(f"{path}: annotation {one.id}: {error}") from None
