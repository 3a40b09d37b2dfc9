"""Any COCO file as a question set: every class name asked of every picture, phrases or not.

A name's target is everything of its class in the picture, crowds included. A name of which the picture has nothing is
an absent phrase; this takes the file at its word that it annotates every object of its classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from referent.data.coco_records import Coco, CocoAnnotation
from referent.data.sample import Dataset, Sample
from referent.reference import Reference


def class_names(coco: Coco) -> Dataset:
    """The class names of a checked COCO file, asked of each of its pictures, in order of picture and class.

    Tags: `name` (the class) and `kind`: "name", or "none" where the picture has nothing of it.
    Underscores in names are spaces in phrases; classes of one name are one.
    """
    name = f"{coco.path.resolve().parent.name}/{coco.path.name}, class names"
    names = {number: as_phrase(category) for number, category in coco.categories.items()}
    return Dataset(name, list(_samples(coco, names)), classes=tuple(dict.fromkeys(names.values())))


def as_phrase(name: str) -> str:
    """A class name as a phrase: underscores are spaces."""
    return " ".join(name.replace("_", " ").split())


def _samples(coco: Coco, names: Mapping[int, str]) -> Iterator[Sample]:
    for image_id, image in coco.images.items():
        members: dict[str, list[CocoAnnotation]] = {name: [] for name in names.values()}
        for annotation in coco.annotations[image_id]:
            members[names[annotation.category_id]].append(annotation)
        for name, of_class in members.items():
            of_class.sort(key=lambda annotation: annotation.crowd)
            yield Sample(
                id=f"{image_id} {name}",
                picture=image.path,
                size=image.size,
                reference=Reference.of(name),
                targets=tuple(annotation.mask for annotation in of_class),
                split=image.split,
                tags={"kind": "name" if of_class else "none", "name": name},
                crowds=sum(annotation.crowd for annotation in of_class),
            )
