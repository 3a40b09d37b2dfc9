"""Pictures that published data sets test on, so that a training on several of them can leave them out.

RefCOCO, RefCOCO+ and RefCOCOg share COCO's pictures and split them differently: what one trains on, another tests on;
and all of them lie in COCO's train2017. A picture of COCO is known by the number in its file's name
(`COCO_train2014_000000123456.jpg` is `000000123456.jpg`), any other by that name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from referent.data.published.layout import find_layout
from referent.data.published.refer import open_refs
from referent.errors import DataError

TRAINING = "train"
_COCO = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})\.jpg")


def identity(name: str) -> str:
    """What a picture file of this name is known by."""
    found = _COCO.fullmatch(name)
    return found[1] if found else name


def held_out(paths: Sequence[Path]) -> frozenset[str]:
    """The identities of all pictures that some split other than "train" of some of these data sets is about.

    Args:
        paths: folders of RefCOCO's kind, or refs files: `refcoco`, `refcoco+`, `refcocog/refs(umd).p`.

    Raises:
        DataError: no such data set, or a file that cannot be used.
    """
    found: set[str] = set()
    for path in paths:
        layout = find_layout(path)
        if layout is None or layout.kind != "refer":
            raise DataError(f"{path}: expected a folder with refs(...).p, or that file, found neither")
        (file,) = layout.one().files.values()
        refs, instances = open_refs(file, None)
        tested = {ref["image_id"] for ref in refs if ref["split"] != TRAINING}
        found |= {identity(instances.picture(number).file_name) for number in tested}
    return frozenset(found)
