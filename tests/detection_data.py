"""Small detection files in the true formats of COCO and Objects365, with pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"person": (220, 30, 30), "sports ball": (30, 200, 30), "cat": (40, 40, 230)}
IDS = {"person": 1, "cat": 17, "sports ball": 37}
"""COCO's own, in whose order labels count."""
Square = tuple[str, int, int, int]
"""Class, left, top, side."""


def drawn(width: int, height: int, squares: list[Square]) -> Image.Image:
    """Coloured squares on grey."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    for name, left, top, side in squares:
        pixels[top : top + side, left : left + side] = COLOURS[name]
    return Image.fromarray(pixels)


def annotation(number: int, image_id: int, square: Square, **changes: Any) -> dict[str, Any]:
    """COCO's record of one square."""
    name, left, top, side = square
    right, bottom = left + side, top + side
    record = {
        "id": number,
        "image_id": image_id,
        "category_id": IDS[name],
        "bbox": [float(left), float(top), float(side), float(side)],
        "area": float(side * side),
        "iscrowd": 0,
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }
    return record | changes


def scenes(count: int, width: int = 72, height: int = 60) -> list[list[Square]]:
    """Two squares of different classes for each picture."""
    generator = np.random.default_rng(4)
    names = list(COLOURS)
    found = []
    for number in range(count):
        (top, left), (other_top, other_left) = generator.integers(0, 12, (2, 2)).tolist()
        first: Square = (names[number % 3], left, top, 20)
        second: Square = (names[(number + 1) % 3], width // 2 + other_left, height // 2 - 4 + other_top, 16)
        found.append([first, second])
    return found


def write_coco(root: Path, count: int = 4) -> Path:
    """`annotations/instances_train2017.json` beside `train2017/`; the first picture has a crowd, the last nothing."""
    (root / "annotations").mkdir(parents=True)
    (root / "train2017").mkdir()
    images, annotations = [], []
    for number, squares in enumerate([*scenes(count), []], 1):
        name = f"{number:012d}.jpg"
        drawn(72, 60, squares).save(root / "train2017" / name, quality=95)
        images.append({"id": number, "file_name": name, "width": 72, "height": 60, "license": 3, "coco_url": ""})
        annotations += [annotation(10 * number + place, number, one) for place, one in enumerate(squares)]
    crowd = {"size": [60, 72], "counts": [100, 50, 60 * 72 - 150]}
    annotations.append(annotation(1000, 1, ("person", 0, 0, 10), iscrowd=1, segmentation=crowd))
    path = root / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps({"info": {}, "licenses": [], **_content(images, annotations)}))
    return path


def write_objects365(root: Path, count: int = 4) -> Path:
    """`zhiyuan_objv2_train.json` with boxes alone, beside `train/patch0/`, `train/patch1/`."""
    images, annotations = [], []
    for number, squares in enumerate(scenes(count), 1):
        patch, name = f"patch{number % 2}", f"objects365_v1_{number:08d}.jpg"
        (root / "train" / patch).mkdir(parents=True, exist_ok=True)
        drawn(72, 60, squares).save(root / "train" / patch / name, quality=95)
        images.append({"id": number, "file_name": f"images/v1/{patch}/{name}", "width": 72, "height": 60, "url": ""})
        for place, one in enumerate(squares):
            record = annotation(10 * number + place, number, one, isfake=0, isreflected=0)
            del record["segmentation"]
            annotations.append(record)
    annotations[0]["bbox"] = [-2.5, 3.25, 20.0, 70.0]
    path = root / "zhiyuan_objv2_train.json"
    path.write_text(json.dumps(_content(images, annotations)))
    return path


def _content(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    categories = [{"id": number, "name": name, "supercategory": "thing"} for name, number in IDS.items()]
    return {"images": images, "annotations": annotations, "categories": categories[::-1]}
