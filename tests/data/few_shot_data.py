"""Small few-shot sets in their true layouts, written to a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from small_data import SIZE, block, save_picture

from referent.rle import encode


def write_coco(folder: Path, classes: dict[str, Sequence[int]], pictures: int, **extra: object) -> Path:
    """A COCO file: which of `pictures` show which class, by numbers from 1; each has a block at another place."""
    for number in range(1, pictures + 1):
        save_picture(folder / f"{number}.png")
    annotations = [
        {"image_id": number, "category_id": category, "segmentation": encode(block(2 + category, number)), "area": 30}
        for category, shown in enumerate(classes.values(), 1)
        for number in shown
    ]
    content = {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]}
            for number in range(1, pictures + 1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
        **extra,
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def save_mask(path: Path, mask: np.ndarray, inside: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * inside).save(path)


def write_fss(folder: Path, classes: Sequence[str], pictures: int = 10) -> None:
    """FSS-1000's layout: CLASS/1.jpg with CLASS/1.png."""
    for name in classes:
        for number in range(1, pictures + 1):
            save_picture(folder / name / f"{number}.jpg")
            save_mask(folder / name / f"{number}.png", block(number, 2 * number))


def write_voc(folder: Path, labels: dict[str, np.ndarray], lists: dict[str, Sequence[str]]) -> None:
    """VOC's layout with SBD's masks: a class number a pixel."""
    for name, values in labels.items():
        save_picture(folder / "JPEGImages" / f"{name}.jpg")
        path = folder / "SegmentationClassAug" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(values.astype(np.uint8), mode="P")
        picture.putpalette(list(range(256)) * 3)
        picture.save(path)
    for name, members in lists.items():
        path = folder / "ImageSets" / "Segmentation" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(members) + "\n")
