"""What the small data sets of these tests hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from referent.rle import encode

SIZE = (20, 30)


def block(top: int, left: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A mask with one block of 5 x 6 pixels."""
    mask = np.zeros(size, dtype=bool)
    mask[top : top + 5, left : left + 6] = True
    return mask


def save_picture(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), "grey").save(path)


def coco_content() -> dict[str, Any]:
    """Two pictures, three objects; phrases on annotations and at the top level."""
    return {
        "info": {"description": "a test"},
        "images": [
            {"id": 1, "file_name": "one.png", "height": 20, "width": 30, "split": "train"},
            {"id": 2, "file_name": "two.png", "height": 20, "width": 30, "split": "val", "licence": "CC0"},
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": [
            {
                "id": 10,
                "image_id": 1,
                "category_id": 3,
                "segmentation": encode(block(2, 3)),
                "phrases": ["the left cat", " the cat at the left "],
            },
            {
                "id": 11,
                "image_id": 1,
                "category_id": 3,
                "segmentation": encode(block(2, 20)),
                "phrases": ["the right cat"],
            },
            {
                "id": 12,
                "image_id": 2,
                "category_id": 4,
                "iscrowd": 1,
                "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]],
                "phrases": ["the dog"],
            },
        ],
        "phrases": [
            {"id": 1, "image_id": 1, "phrase": "both cats", "annotation_ids": [10, 11], "tags": {"kind": "plural"}},
            {"id": 2, "image_id": 1, "phrase": "the dog", "annotation_ids": []},
        ],
    }
