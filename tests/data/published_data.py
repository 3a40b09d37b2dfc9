"""Small data sets in the true formats of the published ones."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 40, 30
PERSON, CAT = 1, 17


def square(left: int, top: int, side: int = 8) -> list[float]:
    right, bottom = left + side, top + side
    return [left, top, right, top, right, bottom, left, bottom]


def coco_name(image_id: int) -> str:
    return f"COCO_train2014_{image_id:012}.jpg"


def annotation(number: int, image_id: int, category_id: int = CAT, **fields: Any) -> dict[str, Any]:
    left = 10 * (number % 3)
    plain = {"segmentation": [square(left, 4)], "bbox": [left, 4, 8, 8], "area": 64.0, "iscrowd": 0}
    return {"id": number, "image_id": image_id, "category_id": category_id, **plain, **fields}


def instances(image_ids: Sequence[int], annotations: Sequence[dict[str, Any]], **others: Any) -> dict[str, Any]:
    images = [
        {"id": number, "file_name": coco_name(number), "width": WIDTH, "height": HEIGHT, "license": 1}
        for number in image_ids
    ]
    categories = [
        {"id": PERSON, "name": "person", "supercategory": "person"},
        {"id": CAT, "name": "cat", "supercategory": "animal"},
    ]
    return {"info": {}, "images": images, "annotations": list(annotations), "categories": categories, **others}


def ref(
    number: int,
    image_id: int,
    ann_id: int | list[int],
    split: str,
    sentences: Sequence[str],
    first_sentence: int | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Raw sentences as they were typed; `sent` is the cleaned text."""
    first = 10 * number if first_sentence is None else first_sentence
    listed = [
        {"raw": raw, "sent": raw.lower().strip(" .!"), "tokens": raw.lower().split(), "sent_id": first + place}
        for place, raw in enumerate(sentences)
    ]
    return {
        "ref_id": number,
        "ann_id": ann_id,
        "image_id": image_id,
        "category_id": CAT,
        "file_name": coco_name(image_id).replace(".jpg", f"_{number}.jpg"),
        "split": split,
        "sentences": listed,
        "sent_ids": [sentence["sent_id"] for sentence in listed],
        **fields,
    }


REFS = [
    ref(1, 11, 101, "train", ["The left cat.", "cat at left"]),
    ref(2, 11, 102, "train", ["right cat!"]),
    ref(3, 12, 103, "val", ["A cat", "the only cat", "cat"]),
    ref(4, 13, 104, "testA", ["man in black"]),
    ref(5, 14, 105, "testB", ["zebra on left", "left zebra"]),
]
ANNOTATIONS = [
    annotation(101, 11),
    annotation(102, 11),
    annotation(103, 12),
    annotation(104, 13, PERSON),
    annotation(105, 14),
]


def write_refer(
    folder: Path,
    refs: Any = REFS,
    annotations: Sequence[dict[str, Any]] = ANNOTATIONS,
    variant: str = "unc",
    protocol: int = 0,
) -> Path:
    """`folder/refs(variant).p` as Python 2 wrote it (protocol 0), `folder/instances.json`, and all its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"refs({variant}).p").write_bytes(pickle.dumps(refs, protocol))
    write_instances(folder, annotations)
    return folder


def write_grefs(folder: Path, refs: Any, annotations: Sequence[dict[str, Any]] = ANNOTATIONS) -> Path:
    """`folder/grefs(unc).json`, `folder/instances.json`, and all its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "grefs(unc).json").write_text(json.dumps(refs))
    write_instances(folder, annotations)
    return folder


def write_instances(folder: Path, annotations: Sequence[dict[str, Any]]) -> None:
    image_ids = list(dict.fromkeys(record["image_id"] for record in annotations))
    (folder / "instances.json").write_text(json.dumps(instances(image_ids, annotations)))
    pictures = folder.parent / "images" / "mscoco" / "images" / "train2014"
    pictures.mkdir(parents=True, exist_ok=True)
    for number in image_ids:
        save(pictures / coco_name(number))


def save(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    Image.new("RGB", size, (90, 120, 60)).save(path)


def task(number: str, image_id: int, phrase: str, polygons: Any, name: str = "cat") -> dict[str, Any]:
    structure = {"name": name, "attributes": [], "relation_ids": [], "relation_descriptions": [], "type": "name"}
    boxes = [[0, 0, 8, 8] for _ in polygons]
    return {
        "task_id": number,
        "image_id": image_id,
        "ann_ids": [1],
        "instance_boxes": boxes,
        "Polygons": polygons,
        "phrase": phrase,
        "phrase_structure": structure,
    }


def write_phrasecut(folder: Path, tasks: dict[str, list[dict[str, Any]]]) -> Path:
    """`folder/refer_<split>.json`, `folder/image_data_split3000.json`, and `folder/images/<id>.jpg`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images = []
    for split, listed in tasks.items():
        (folder / f"refer_{split}.json").write_text(json.dumps(listed))
        for image_id in dict.fromkeys(record["image_id"] for record in listed):
            images.append({"image_id": image_id, "width": WIDTH, "height": HEIGHT, "split": split, "coco_id": None})
            save(folder / "images" / f"{image_id}.jpg")
    (folder / "image_data_split3000.json").write_text(json.dumps(images))
    return folder
