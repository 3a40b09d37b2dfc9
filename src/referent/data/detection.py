"""Pictures with all their objects, for training a detector: COCO's own files, those of Objects365, any like them.

Files have millions of objects. They are kept in a few arrays, and no mask is parsed before a picture is visited.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from referent.data.checking import OnProblem, Problems
from referent.data.class_names import as_phrase
from referent.data.coco_json import CategoryRecord, ImageRecord, pictures_of
from referent.data.few_shot.class_set import Drawn
from referent.data.few_shot.coco import PICTURE_FOLDERS
from referent.data.published.instances import NOTHING, read_target
from referent.data.published.json_files import read_json
from referent.data.published.targets import Outline, Target, Targets
from referent.data.sample import Sample
from referent.errors import DataError
from referent.reference import Reference
from referent.rle import RLE, BadMaskError, read_polygon

EVERY_OBJECT = Reference.of("every object")
"""What a detector finds, which no phrase tells it."""

_FOLDERS = (*PICTURE_FOLDERS, "train", "val", "../train", "../val")


class _Annotation(msgspec.Struct, gc=False):
    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int | bool = 0
    segmentation: msgspec.Raw = msgspec.Raw()


class _Content(msgspec.Struct):
    images: list[ImageRecord]
    annotations: list[_Annotation]
    categories: list[CategoryRecord]


@dataclass(frozen=True)
class _Table:
    """Objects of all pictures, those of picture k from `firsts[k]` to `firsts[k + 1]`.

    Attributes:
        path: of the file, for messages.
        classes: how many there are.
        ids: (T,) of the annotations.
        labels: (T,) rows of the class head.
        boxes: (T, 4) left, top, width, height in pixels, within their pictures.
        masks: T of them as JSON, or None where the file has boxes alone.
    """

    path: Path
    classes: int
    firsts: NDArray[np.int64]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float64]
    masks: Sequence[msgspec.Raw] | None


@dataclass(frozen=True, eq=False)
class AllObjects:
    """What a batch counts: one picture with all its objects.

    Attributes:
        picture: its file.
        size: (height, width) as the file says; the picture is not opened before it is visited.
        name: its id in the file.
        split: as the file says.
    """

    picture: Path
    size: tuple[int, int]
    name: str
    split: str
    _table: _Table = field(repr=False)
    _row: int

    @property
    def classes(self) -> int:
        """How many the file has."""
        return self._table.classes

    @property
    def masked(self) -> bool:
        """Whether its objects have masks."""
        return self._table.masks is not None

    @property
    def cost(self) -> float:
        """Pixels of the picture."""
        height, width = self.size
        return float(height * width)

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`sample`, the same at every visit."""
        return [self.sample()]

    def sample(self) -> Sample:
        """One sample of all objects, with their boxes and labels. A tag `truth` is "box" where masks are but boxes."""
        table = self._table
        rows = range(table.firsts[self._row], table.firsts[self._row + 1])
        boxes = [tuple(table.boxes[row].tolist()) for row in rows]
        return Sample(
            id=self.name,
            picture=self.picture,
            size=self.size,
            reference=EVERY_OBJECT,
            targets=Targets([self._target(row) for row in rows]),
            split=self.split,
            tags={"kind": "objects"} if self.masked else {"kind": "objects", "truth": "box"},
            boxes=boxes,
            labels=table.labels[rows.start : rows.stop].tolist(),
        )

    def _target(self, row: int) -> Target:
        table = self._table
        if table.masks is not None:
            value = table.masks[row]
            return Drawn(lambda: _mask(table.path, int(table.ids[row]), value, self.size))
        left, top, width, height = table.boxes[row].tolist()
        right, bottom = left + width, top + height
        return Outline([read_polygon([left, top, right, top, right, bottom, left, bottom], self.size)], self.size)


@dataclass(frozen=True)
class DetectionSet:
    """A file's pictures that show something.

    Attributes:
        name: printed in results: the file's name behind its folder's.
        classes: in order of category id, as phrases; a label is a place in it.
        pictures: in the file's order; crowds and boxes without area are no objects, and pictures without any left out.
        masks: whether objects have masks.
        problems: what was left out because it is wrong.
    """

    name: str
    classes: tuple[str, ...]
    pictures: Sequence[AllObjects] = field(repr=False)
    masks: bool
    problems: tuple[str, ...] = ()


def read_detection(
    path: Path, split: str | None = None, *, pictures: Path | None = None, on_problem: OnProblem = "raise"
) -> DetectionSet:
    """A COCO file with boxes.

    A picture is looked for by its `file_name`, then by its last folder and name (Objects365's
    `images/v1/patch8/x.jpg` lies in `patch8/`), then by its name alone.

    Args:
        path: `instances_train2017.json`, `zhiyuan_objv2_train.json`, or any file like them.
        split: only the pictures of this split (a picture that names none is of "train"); None for all.
        pictures: folder of the pictures; otherwise the file's own and usual ones near it.
        on_problem: "raise", or "skip" to leave out what is wrong, with a warning in the log.

    Raises:
        DataError: no COCO file, no such split, nothing usable; or, unless skipped, missing pictures, impossible sizes
            and unknown ids. A broken mask is found when it is drawn.
    """
    content: _Content = read_json(path, _Content, "COCO's images, annotations (with boxes) and categories")
    problems = Problems(path, on_problem)
    names = {category.id: as_phrase(category.name) for category in content.categories}
    places = {number: place for place, number in enumerate(sorted(names))}
    finder = _Finder([pictures] if pictures else [path.absolute().parent / name for name in _FOLDERS])
    images = pictures_of(path, content.images, split, finder.find, problems)
    objects = _objects(content, images, places, problems)
    left_out = problems.settle()
    # A picture's objects side by side, in the file's order.
    rows = {number: row for row, number in enumerate(images)}
    objects.sort(key=lambda one: rows[one.image_id])
    counts = Counter(one.image_id for one in objects)
    shown = [number for number in images if number in counts]
    if not shown:
        raise DataError(f"{path}: no picture has an object" + (f" in split {split!r}" if split else ""))
    boxed = all(bytes(one.segmentation) in NOTHING for one in objects)
    table = _Table(
        path=path,
        classes=len(names),
        firsts=np.concatenate(([0], np.cumsum([counts[number] for number in shown]))),
        ids=np.array([one.id for one in objects]),
        labels=np.array([places[one.category_id] for one in objects]),
        boxes=np.array([_within(one.bbox, images[one.image_id][0]) for one in objects]),
        masks=None if boxed else [one.segmentation for one in objects],
    )
    scenes = [
        AllObjects(file, (image.height, image.width), str(number), image.split, table, row)
        for row, number in enumerate(shown)
        for image, file in [images[number]]
    ]
    classes = tuple(names[number] for number in places)
    return DetectionSet(f"{path.absolute().parent.name}/{path.name}", classes, scenes, not boxed, left_out)


class _Finder:
    """Finds pictures by listing folders once: asking for each of two million files takes minutes.

    Args:
        folders: where to look, in this order.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = [str(folder) for folder in folders]
        self._listed = lru_cache(maxsize=None)(_names)

    def find(self, name: str) -> Path:
        """The file.

        Raises:
            DataError: there is none.
        """
        parts = name.split("/")
        for tail in dict.fromkeys((name, "/".join(parts[-2:]), parts[-1])):
            inside, _, last = tail.rpartition("/")
            for folder in self._folders:
                place = os.path.join(folder, inside) if inside else folder  # noqa: PTH118  (a third of the time)
                if last in self._listed(place):
                    return Path(place, last)
        raise DataError(f"no such file: {name} in {self._folders[0]}, nor in the other usual places")


def _names(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return frozenset()


def _objects(
    content: _Content, images: Mapping[int, tuple[ImageRecord, Path]], places: Mapping[int, int], problems: Problems
) -> list[_Annotation]:
    """Those of the pictures at hand: no crowds, and none without area inside its picture."""
    known = {image.id for image in content.images}
    found = []
    for one in content.annotations:
        if one.image_id not in known:
            problems.add(f"annotation {one.id}", f"`image_id` {one.image_id} is no image of the file")
        elif one.category_id not in places:
            problems.add(f"annotation {one.id}", f"`category_id` {one.category_id} is no category of the file")
        elif one.image_id in images and not one.iscrowd:
            _, _, width, height = _within(one.bbox, images[one.image_id][0])
            if width > 0 and height > 0:
                found.append(one)
    return found


def _within(box: tuple[float, float, float, float], image: ImageRecord) -> tuple[float, float, float, float]:
    """Objects365 has boxes that reach beyond their pictures."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], image.width), min(box[1] + box[3], image.height)
    return left, top, right - left, bottom - top


def _mask(path: Path, number: int, value: msgspec.Raw, size: tuple[int, int]) -> RLE:
    try:
        return read_target(value, size).rle
    except (BadMaskError, msgspec.MsgspecError) as error:
        raise DataError(f"{path}: annotation {number}: {error}") from None
