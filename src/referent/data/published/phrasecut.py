"""PhraseCut: phrases about regions of Visual Genome's pictures, in one JSON file a split.

`refer_<split>.json` is a list of {task_id, image_id, phrase, phrase_structure, Polygons}; `Polygons` has for each
object a list of polygons, each a list of [x, y]. Sizes of pictures stand in `image_data_split*.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from referent.data.checking import OnProblem, Problems, kind_of
from referent.data.published.json_files import read_json
from referent.data.published.layout import Layout
from referent.data.published.pictures import Pictures
from referent.data.published.targets import Outline, Targets
from referent.data.sample import Dataset, Sample
from referent.errors import BadReferenceError, DataError
from referent.reference import Phrase, Reference
from referent.rle import RLE, BadMaskError, Polygons, encode, read_polygon

SIZES = "image_data_split*.json"


class _Size(msgspec.Struct, gc=False):
    image_id: int
    height: int
    width: int


def read_phrasecut(
    layout: Layout, split: str | None, pictures: Pictures, *, on_problem: OnProblem = "raise"
) -> Dataset:
    """The samples of PhraseCut, one a task, in the files' order; the id is the task's.

    Tags: `name` (the class), `kind` ("plural" where it has several objects).

    Args:
        layout: of its folder.
        split: "train", "val", "test" or "miniv" (a hundred pictures that "val" goes without); None for all.
        pictures: that finds them; missing ones are left to the caller.
        on_problem: "raise", or "skip" to leave out wrong tasks and go on.

    Raises:
        DataError: a file is missing, damaged, or of another kind; there is no such split; or, unless skipped, the list
            of all that is wrong with its tasks.
    """
    if split is not None and split not in layout.files:
        raise DataError(f"{layout.folder}: no split {split!r}; there are: {', '.join(layout.files)}")
    sizes = _sizes(layout.folder)
    problems = Problems(layout.folder, on_problem)
    samples: dict[str, Sample] = {}
    for own in layout.files if split is None else [split]:
        tasks: list[Any] = read_json(layout.files[own], list[Any], "a list of tasks")
        for position, task in enumerate(tasks):
            name = str(task.get("task_id", "")) if isinstance(task, dict) else ""
            try:
                if not name:
                    raise DataError("expected {task_id, image_id, phrase, Polygons}")
                if name in samples:
                    raise DataError("duplicate id")
                samples[name] = _sample(name, task, own, sizes, pictures)
            except (DataError, BadReferenceError, BadMaskError) as error:
                problems.add(f"{own}: task {name or f'at {position}'}", str(error))
    return Dataset(layout.folder.resolve().name, list(samples.values()), problems.settle())


def draw_with_border(polygons: Polygons, size: tuple[int, int]) -> RLE:
    """A mask as PhraseCut's own evaluation draws it: corners cut to whole numbers, the border included."""
    from PIL import Image, ImageDraw

    layer = Image.new("L", size[::-1])
    pen = ImageDraw.Draw(layer)
    for polygon in polygons:
        pen.polygon(polygon.astype(int).tolist(), fill=1, outline=1)
    return encode(np.asarray(layer) > 0)


def _sample(
    name: str, task: Mapping[str, Any], split: str, sizes: Mapping[int, tuple[int, int]], pictures: Pictures
) -> Sample:
    image_id, objects, structure = task.get("image_id"), task.get("Polygons"), task.get("phrase_structure")
    if type(image_id) is not int or image_id not in sizes:
        raise DataError(f"`image_id` {image_id!r} is no image of {SIZES}")
    if not isinstance(objects, list) or not objects:
        raise DataError(f"`Polygons`: expected a list with an entry for each object, found {kind_of(objects)}")
    size = sizes[image_id]
    outlines = [Outline(_parts(polygons, size), size, draw_with_border) for polygons in objects]
    tags = {"kind": "plural"} if len(outlines) > 1 else {}
    if isinstance(structure, dict) and structure.get("name"):
        tags["name"] = str(structure["name"])
    phrase = Reference(Phrase(task.get("phrase", "")))
    # No `polygons`: they are drawn by another rule than pycocotools', and their union is PhraseCut's only truth.
    return Sample(name, pictures.find(f"{image_id}.jpg"), size, phrase, Targets(outlines), split, tags)


def _parts(polygons: Any, size: tuple[int, int]) -> Polygons:
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        raise BadMaskError("polygon: expected a list of polygons for each object")
    try:
        flat = [[value for corner in polygon for value in corner] for polygon in polygons if len(polygon) > 2]
    except TypeError:
        raise BadMaskError("polygon: expected [[x, y], ...]") from None
    return [read_polygon(polygon, size) for polygon in flat]


def _sizes(folder: Path) -> dict[int, tuple[int, int]]:
    files = sorted(folder.glob(SIZES))
    if not files:
        raise DataError(f"{folder / SIZES}: no such file; it comes with PhraseCut's annotations")
    records: list[_Size] = read_json(files[-1], list[_Size], "a list of {image_id, width, height}")
    return {record.image_id: (record.height, record.width) for record in records}
