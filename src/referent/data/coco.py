"""COCO files, with or without phrases: read with every mistake named, and written with phrases.

Two places hold phrases. An annotation's `"phrases": ["the left cat", ...]` are true of it alone. The top-level list
`"phrases": [{"id", "image_id", "phrase", "annotation_ids": [...], "tags": {...}}]` holds phrases of several targets, or
of none. A picture may name its `"split"`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from referent.data.checking import OnProblem, Problems, find_file, kind_of, parse_json, read_text
from referent.data.coco_reader import CocoReader
from referent.data.coco_records import Coco, CocoAnnotation, CocoPhrase
from referent.data.sample import Dataset, Sample
from referent.errors import DataError
from referent.files import atomic_write
from referent.reference import Reference
from referent.rle import RLE, Polygons
from referent.segmentation import ExactBox


def read_coco(
    path: Path, *, split: str | None = None, pictures: Path | None = None, on_problem: OnProblem = "raise"
) -> Coco:
    """A COCO file, checked throughout.

    Pictures are looked for beside the file, then in `images/` beside it. Of each only the header is read, to compare
    sizes. Polygons and uncompressed RLE become compressed RLE.

    Args:
        path: the JSON file.
        split: only the pictures of this split, and what belongs to them, are checked and kept.
        pictures: folder of the pictures, instead of those two.
        on_problem: "raise", or "skip" to leave out what is wrong and go on (`Coco.problems`, and a warning in the log).

    Raises:
        DataError: not a COCO file; no such split; or, unless skipped, the list of all that is wrong: broken records,
            duplicate ids, unknown ids, missing or unreadable pictures, sizes that differ from the file's, empty or
            malformed masks, blank phrases.
    """
    return parse_coco(
        parse_json(read_text(path), str(path)), path, split=split, pictures=pictures, on_problem=on_problem
    )


def parse_coco(
    content: Any,
    path: Path,
    *,
    split: str | None = None,
    pictures: Path | None = None,
    on_problem: OnProblem = "raise",
    allow_missing: bool = False,
) -> Coco:
    """`read_coco` of JSON already parsed; with `allow_missing` pictures may be missing (`Coco.missing`)."""
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a COCO object, found a JSON {type(content).__name__}")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise DataError(f"{path}: expected a COCO file with a list `{key}`, found {kind_of(content.get(key))}")
    if not isinstance(content.get("phrases", []), list):
        raise DataError(f"{path}: `phrases`: expected a list, found {kind_of(content['phrases'])}")
    reader = CocoReader(path, Problems(path, on_problem), allow_missing)
    folder = path.resolve().parent
    reader.read_categories(content["categories"])
    folders = (pictures.resolve(),) if pictures else (folder, folder / "images")
    reader.read_images(content["images"], split, folders)
    reader.read_annotations(content["annotations"])
    reader.read_phrases(content.get("phrases", []))
    annotations: dict[int, list[CocoAnnotation]] = {image_id: [] for image_id in reader.images}
    for annotation in reader.annotations.values():
        annotations[annotation.image_id].append(annotation)
    return Coco(
        path,
        folders,
        reader.images,
        {image_id: tuple(members) for image_id, members in annotations.items()},
        reader.categories,
        tuple(reader.phrases.values()),
        reader.problems.settle(),
        content,
        reader.missing,
    )


def coco_dataset(coco: Coco) -> Dataset:
    """The samples of a checked COCO file: first each annotation's own, then those of the top-level list.

    Ids: "<annotation>.<k>" for an annotation's k-th phrase (from 0), "p<id>" for the top-level list. Tags: the phrase's
    own; for an annotation's phrase `name`, its class; and `same_class`, how many objects of the targets' class the
    picture has, where they are of one.

    Raises:
        DataError: no phrases at all.
    """
    samples = list(_samples(coco))
    if not samples and not coco.problems and not coco.missing.pictures:
        raise DataError(
            f"{coco.path}: no phrases: expected `phrases` on the annotations or at the top level; "
            "`referent describe` writes them"
        )
    return Dataset(f"{coco.path.resolve().parent.name}/{coco.path.name}", samples, coco.problems, coco.missing)


def _samples(coco: Coco) -> Iterator[Sample]:
    found = {member.id: member for members in coco.annotations.values() for member in members}
    alike = Counter((member.image_id, member.category_id) for member in found.values() if not member.crowd)
    for member in found.values():
        image = coco.images[member.image_id]
        tags = {"name": coco.categories[member.category_id], **_same_class(alike, [member])}
        for place, text in enumerate(member.phrases):
            reference, name = Reference.of(text), f"{member.id}.{place}"
            yield Sample(name, image.path, image.size, reference, split=image.split, tags=tags, **_drawn([member]))
    for phrase in coco.phrases:
        image = coco.images[phrase.image_id]
        members = [found[annotation_id] for annotation_id in phrase.annotation_ids]
        tags = {**_same_class(alike, members), **phrase.tags}
        reference, name = Reference.of(phrase.phrase), f"p{phrase.id}"
        yield Sample(name, image.path, image.size, reference, split=image.split, tags=tags, **_drawn(members))


class _Drawn(TypedDict):
    targets: tuple[RLE, ...]
    polygons: tuple[Polygons, ...]
    boxes: tuple[ExactBox | None, ...]


def _drawn(members: Sequence[CocoAnnotation]) -> _Drawn:
    """What a sample says of where these objects are."""
    polygons = tuple(member.polygons for member in members)
    return {
        "targets": tuple(member.mask for member in members),
        "polygons": polygons if any(polygons) else (),
        "boxes": tuple(member.box for member in members),
    }


def _same_class(alike: Counter[tuple[int, int]], targets: Sequence[CocoAnnotation]) -> dict[str, str]:
    """The tag `same_class`, where the targets are of one class and none is a crowd that nobody counted."""
    classes = {(member.image_id, member.category_id) for member in targets}
    if len(classes) != 1 or any(member.crowd for member in targets):
        return {}
    return {"same_class": str(alike[classes.pop()])}


def write_coco_with_phrases(
    path: Path,
    coco: Coco,
    phrases: Iterable[CocoPhrase] = (),
    annotation_phrases: Mapping[int, Sequence[str]] | None = None,
) -> None:
    """A COCO file's content with phrases, in place of those it had; all other fields stay. Atomic.

    In another folder than `coco.path` the pictures' `file_name` become relative to that folder.

    Args:
        path: the file to write; its folder exists.
        coco: the file read.
        phrases: the top-level list.
        annotation_phrases: phrases true of one annotation alone, by annotation id.
    """
    own = annotation_phrases or {}
    folder = path.resolve().parent
    content = dict(coco.content)
    if folder != coco.path.resolve().parent:
        content["images"] = [_moved(record, coco, folder) for record in content["images"]]
    content["annotations"] = [_phrased(record, own) for record in content["annotations"]]
    content["phrases"] = [
        {
            "id": phrase.id,
            "image_id": phrase.image_id,
            "phrase": phrase.phrase,
            "annotation_ids": list(phrase.annotation_ids),
            "tags": dict(phrase.tags),
        }
        for phrase in phrases
    ]
    atomic_write(path, json.dumps(content, ensure_ascii=False) + "\n")


def _phrased(record: Any, phrases: Mapping[int, Sequence[str]]) -> Any:
    if not isinstance(record, dict) or type(record.get("id")) is not int:
        return record  # a problem that was skipped
    plain = {key: value for key, value in record.items() if key != "phrases"}
    return {**plain, "phrases": list(phrases[record["id"]])} if record["id"] in phrases else plain


def _moved(record: Any, coco: Coco, folder: Path) -> Any:
    try:
        old = find_file(record["file_name"], coco.folders)
    except (DataError, KeyError, TypeError):
        return record  # a problem that was skipped
    return {**record, "file_name": Path(os.path.relpath(old, folder)).as_posix()}
