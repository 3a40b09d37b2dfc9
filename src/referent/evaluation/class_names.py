"""Any COCO file as a question set: every class name asked of every picture, phrases or not.

A name's target is everything of its class in the picture, crowds included. A name of which the picture has nothing is
an absent phrase; this takes the file at its word that it annotates every object of its classes.
"""

from __future__ import annotations

from collections.abc import Iterator

from referent.data.coco_records import Coco
from referent.data.sample import Dataset, Sample
from referent.reference import Reference
from referent.rle import RLE


def class_names(coco: Coco) -> Dataset:
    """The class names of a checked COCO file, asked of each of its pictures, in order of picture and class.

    Tags: `name` (the class) and `kind`: "name", or "none" where the picture has nothing of it.
    Underscores in names are spaces in phrases; classes of one name are one.
    """
    name = f"{coco.path.resolve().parent.name}/{coco.path.name}, class names"
    return Dataset(name, list(_samples(coco)))


def _samples(coco: Coco) -> Iterator[Sample]:
    names = {number: " ".join(name.replace("_", " ").split()) for number, name in coco.categories.items()}
    for image_id, image in coco.images.items():
        targets: dict[str, list[RLE]] = {name: [] for name in names.values()}
        for annotation in coco.annotations[image_id]:
            targets[names[annotation.category_id]].append(annotation.mask)
        for name, masks in targets.items():
            tags = {"kind": "name" if masks else "none", "name": name}
            identity = f"{image_id} {name}"
            yield Sample(identity, image.path, image.size, Reference.of(name), tuple(masks), image.split, tags)
