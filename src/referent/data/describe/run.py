"""Phrases for a whole COCO file, picture by picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.coco_records import Coco, CocoAnnotation, CocoImage, CocoPhrase
from referent.data.describe.facts import Scene, measure
from referent.data.describe.meanings import Meanings
from referent.data.describe.nouns import Vocabulary
from referent.data.describe.selection import Said, select
from referent.errors import PictureError
from referent.picture import read_picture
from referent.rle import decode

# Larger pictures are measured shrunk to this longer side; margins are far wider than what that moves.
LONGER_SIDE = 448
# With fewer pictures than this, that no class occurs twice in one says nothing about how the file was drawn.
PICTURES_TO_JUDGE = 20


@dataclass(frozen=True)
class Settings:
    """How to describe a file.

    Attributes:
        seed: other seeds draw other phrases; each picture has a generator of its own, made from seed, id and file name.
        per_target: at most this many phrases for each single object, besides names and plurals.
        none_share: share of phrases true of nothing, in [0, 1); fewer where a picture does not offer enough of them.
        regions: an annotation is all of its class (True) or one object (False); None judges from the file.
    """

    seed: int = 0
    per_target: int = 5
    none_share: float = 0.1
    regions: bool | None = None


@dataclass(frozen=True)
class Described:
    """The phrases of one picture, or why there are none."""

    image: CocoImage
    phrases: tuple[tuple[str, tuple[int, ...], dict[str, str]], ...] = ()
    error: PictureError | None = None


def annotates_regions(coco: Coco) -> bool:
    """Whether no picture of the file has two annotations of one class: then each is a region, not one object."""
    counts = [Counter(annotation.category_id for annotation in members) for members in coco.annotations.values()]
    described = [count for count in counts if count]
    return len(described) >= PICTURES_TO_JUDGE and all(max(count.values()) == 1 for count in described)


def describe(coco: Coco, settings: Settings) -> Iterator[Described]:
    """The phrases of each picture, in the file's order. The order does not influence them.

    A file is taken to say what is absent only of classes that it annotates somewhere, and only in pictures where it
    annotates anything. A picture that cannot be read yields its error and no phrases.
    """
    used = {annotation.category_id for members in coco.annotations.values() for annotation in members}
    vocabulary = Vocabulary(sorted({coco.categories[number] for number in used}))
    regions = annotates_regions(coco) if settings.regions is None else settings.regions
    for image in coco.images.values():
        annotations = sorted(coco.annotations[image.id], key=lambda annotation: annotation.id)
        if not annotations:
            yield Described(image)
            continue
        try:
            scene = look(image, annotations, coco)
        except PictureError as error:
            yield Described(image, error=error)
            continue
        random = Random(f"{settings.seed}/{image.id}/{image.path.name}")
        said = select(Meanings(scene, vocabulary, regions=regions), random, settings.per_target, settings.none_share)
        yield Described(image, tuple(_with_ids(phrase, scene) for phrase in said))


def numbered(described: list[Described]) -> list[CocoPhrase]:
    """The phrases of all pictures, with ids from 1."""
    return [
        CocoPhrase(number, image.id, phrase, annotation_ids, tags)
        for number, (image, (phrase, annotation_ids, tags)) in enumerate(
            ((picture.image, phrase) for picture in described for phrase in picture.phrases), start=1
        )
    ]


def look(image: CocoImage, annotations: list[CocoAnnotation], coco: Coco) -> Scene:
    """The scene of a picture and its annotations, measured at no more than `LONGER_SIDE`.

    Raises:
        PictureError: the picture cannot be read.
    """
    picture = read_picture(image.path)
    scale = LONGER_SIDE / max(picture.size)
    size = picture.size if scale >= 1 else (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return measure(
        [_shrunk(decode(annotation.mask), size) for annotation in annotations],
        [coco.categories[annotation.category_id] for annotation in annotations],
        [annotation.id for annotation in annotations],
        [annotation.crowd for annotation in annotations],
        np.asarray(picture if scale >= 1 else picture.resize(size, Image.Resampling.BOX)),
    )


def _shrunk(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask at another size (width, height), by majority; one too thin for that keeps every pixel it touches."""
    if mask.shape == (size[1], size[0]):
        return mask
    cover = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX))
    majority: NDArray[np.bool_] = cover > 127
    return majority if majority.any() else cover > 0


def _with_ids(said: Said, scene: Scene) -> tuple[str, tuple[int, ...], dict[str, str]]:
    return said.phrase, tuple(scene.ids[target] for target in said.targets), said.tags
