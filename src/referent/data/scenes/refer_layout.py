"""Examples in the layout of the `refer` toolbox: `instances.json`, `refs(umd).p`, `grefs(unc).json`.

`refs(umd).p` is split as RefCOCOg's file of that name is, into train, val and test, and holds phrases of one thing
alone, a ref a thing. `grefs(unc).json`, as gRefCOCO's, holds all phrases, those of several things and of none included.
"""

from __future__ import annotations

import json
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

from referent.data.scenes.examples import Example
from referent.data.scenes.meanings import Things
from referent.data.scenes.outlines import outlines
from referent.data.scenes.records import box_of, file_name
from referent.data.scenes.world import SHAPES
from referent.files import atomic_write

PICKLE_PROTOCOL = 2
"""What the published files are written in; every Python reads it."""


class ReferLayout:
    """Collects examples, then writes the three files.

    Categories are the shapes. An image's id is its example's index; annotations are counted from 1.
    """

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._refs: list[dict[str, Any]] = []
        self._grefs: list[dict[str, Any]] = []
        self._sentences = 0

    def add(self, example: Example) -> None:
        """The next example."""
        height, width = example.seen.size
        self._images.append(
            {"id": example.index, "file_name": file_name(example.index), "height": height, "width": width}
        )
        first = len(self._annotations) + 1
        for thing, mask in zip(example.seen.scene.things, example.seen.masks, strict=True):
            x0, y0, x1, y1 = box_of(mask)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": example.index,
                    "category_id": SHAPES.index(thing.look.shape) + 1,
                    "segmentation": outlines(mask),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                }
            )
        sentences: dict[Things, list[dict[str, Any]]] = defaultdict(list)
        for said in example.said:
            sentences[said.targets].append(
                {"sent_id": self._sentences, "sent": said.phrase, "raw": said.phrase, "tokens": said.phrase.split()}
            )
            self._sentences += 1
        for targets, members in sentences.items():
            self._add_refs(example, [first + target for target in targets], members)

    def _add_refs(self, example: Example, ids: list[int], sentences: list[dict[str, Any]]) -> None:
        ref = {
            "image_id": example.index,
            "file_name": file_name(example.index),
            "split": example.split,
            "sent_ids": [sentence["sent_id"] for sentence in sentences],
            "sentences": sentences,
        }
        categories = [self._annotations[number - 1]["category_id"] for number in ids]
        if len(ids) == 1:
            one = {"ref_id": len(self._refs), "ann_id": ids[0], "category_id": categories[0]}
            self._refs.append(ref | one)
        several = {"ann_id": ids or [-1], "category_id": categories or [-1], "no_target": not ids}
        self._grefs.append(ref | {"ref_id": len(self._grefs)} | several)

    def write(self, folder: Path) -> None:
        """The files, to a folder that exists."""
        categories = [
            {"id": number, "name": shape, "supercategory": "thing"} for number, shape in enumerate(SHAPES, start=1)
        ]
        instances = {"images": self._images, "annotations": self._annotations, "categories": categories}
        atomic_write(folder / "instances.json", json.dumps(instances))
        atomic_write(folder / "grefs(unc).json", json.dumps(self._grefs))
        atomic_write(folder / "refs(umd).p", pickle.dumps(self._refs, protocol=PICKLE_PROTOCOL))
