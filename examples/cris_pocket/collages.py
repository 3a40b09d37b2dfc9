"""Photographs put together from photographs, so that there is more than one thing of a kind to choose from.

    python examples/cris_pocket/collages.py DATA OUT [--n 2500] [--seed 0] [--objects FOLDER]

DATA holds `coco`, `cats` and `people`; only their training photographs and masks are used. OUT gets `images/` and a
COCO file `instances.json`, ready for `referent describe`. Nearly half of the collages are two to four photographs of
one collection side by side; in the others, cut-out objects, two or more of them of one class, stand on a photograph.
What one collection annotates and the other leaves out is never put on a photograph of the other: "the only dog" would
not be known to be true. With `--objects` only the things of that collection are put side by side, and on photographs of
`coco`, where they alone are annotated; such collages are for examples, not for phrases.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.progress import track

from referent.data.coco import read_coco
from referent.rle import decode, encode

LONGER_SIDE = 448
SMALLEST_OBJECT = 0.03  # share of its photograph that a cut-out covers at least
SMALLEST_VISIBLE = 0.5  # share of an object that stays in sight; what shows less is no longer annotated
FEWEST_PIXELS = 60
OTHER_NAMES = {"person": "faces", "motorcycle": "motorbikes"}  # what Caltech-101 calls classes of coco
CROWDED = 12  # photographs with more objects than this are no ground for cut-outs

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Photograph:
    """A training photograph with the masks (h, w) and class names of its objects."""

    picture: Image.Image
    masks: list[Mask]
    names: list[str]

    def shrunk(self, width: int, height: int) -> Photograph:
        """Filled into width x height: scaled to cover it and cut in the middle."""
        scale = max(width / self.picture.width, height / self.picture.height)
        size = (max(width, round(self.picture.width * scale)), max(height, round(self.picture.height * scale)))
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        box = (left, top, left + width, top + height)
        nearest = Image.Resampling.NEAREST
        masks = [np.asarray(Image.fromarray(mask).resize(size, nearest).crop(box)) for mask in self.masks]
        kept = [
            index
            for index, (mask, whole) in enumerate(zip(masks, self.masks, strict=True))
            if mask.sum() >= max(FEWEST_PIXELS, SMALLEST_VISIBLE * whole.sum() * scale**2)
        ]
        return Photograph(
            self.picture.resize(size, Image.Resampling.BICUBIC).crop(box),
            [masks[index] for index in kept],
            [self.names[index] for index in kept],
        )

    def mirrored(self) -> Photograph:
        """Left and right changed over."""
        picture = self.picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return Photograph(picture, [mask[:, ::-1] for mask in self.masks], self.names)


def photographs(folder: Path) -> list[Photograph]:
    """The training photographs of a collection that have objects and no crowds."""
    coco = read_coco(folder / "instances.json")
    found = []
    for image in coco.images.values():
        annotations = coco.annotations[image.id]
        if image.split != "train" or not annotations or any(annotation.crowd for annotation in annotations):
            continue
        found.append(
            Photograph(
                Image.open(image.path).convert("RGB"),
                [decode(annotation.mask) for annotation in annotations],
                [coco.categories[annotation.category_id] for annotation in annotations],
            )
        )
    return found


def cutouts(sources: list[Photograph]) -> dict[str, list[tuple[Image.Image, Mask]]]:
    """Objects that are whole (no side of the photograph cuts them) and large enough, by class name."""
    found: dict[str, list[tuple[Image.Image, Mask]]] = defaultdict(list)
    for source in sources:
        for mask, name in zip(source.masks, source.names, strict=True):
            rim = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
            if rim or mask.mean() < SMALLEST_OBJECT:
                continue
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
            found[name].append((source.picture.crop((left, top, right, bottom)), mask[top:bottom, left:right]))
    return found


def side_by_side(sources: list[Photograph], rng: np.random.Generator) -> Photograph:
    """Two to four photographs in a row, a column or a square."""
    rows, columns = [(1, 2), (1, 3), (2, 1), (2, 2), (1, 4)][rng.choice(5, p=[0.4, 0.2, 0.1, 0.2, 0.1])]
    cell = LONGER_SIDE // max(rows, columns)
    width, height = (cell, round(cell * rng.uniform(1, 1.5))) if columns > rows else (cell, cell)
    canvas = Image.new("RGB", (width * columns, height * rows))
    masks, names = [], []
    shape = (height * rows, width * columns)
    for place, number in enumerate(rng.choice(len(sources), rows * columns, replace=False)):
        source = sources[number].mirrored() if rng.random() < 0.5 else sources[number]
        part = source.shrunk(width, height)
        top, left = place // columns * height, place % columns * width
        canvas.paste(part.picture, (left, top))
        for mask, name in zip(part.masks, part.names, strict=True):
            whole = np.zeros(shape, bool)
            whole[top : top + height, left : left + width] = mask
            masks.append(whole)
            names.append(name)
    return Photograph(canvas, masks, names)


def pasted(
    ground: Photograph, objects: dict[str, list[tuple[Image.Image, Mask]]], rng: np.random.Generator
) -> Photograph:
    """Two to five cut-outs on a photograph, most of them of one class."""
    scale = LONGER_SIDE / max(ground.picture.size)
    ground = ground.shrunk(round(ground.picture.width * scale), round(ground.picture.height * scale))
    canvas, masks, names = ground.picture.copy(), list(ground.masks), list(ground.names)
    classes = sorted(objects)
    # Classes with many cut-outs come more often, but not in proportion: people would crowd out the rest.
    share = np.sqrt([len(objects[name]) for name in classes])
    main, other = rng.choice(len(classes), 2, p=share / share.sum())
    count = int(rng.integers(2, 6))
    height = canvas.height * rng.uniform(0.25, 0.6) * (1 if count < 4 else 0.7)
    for place in range(count):
        name = classes[main if place < 2 or rng.random() < 0.7 else other]
        picture, mask = objects[name][rng.integers(len(objects[name]))]
        factor = min(height * rng.uniform(0.6, 1.4) / picture.height, 0.6 * canvas.width / picture.width)
        factor = min(factor, 0.9 * canvas.height / picture.height)
        size = (max(2, round(picture.width * factor)), max(2, round(picture.height * factor)))
        alpha = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
        if rng.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            alpha = alpha.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left = int(rng.integers(canvas.width - size[0] + 1))
        top = int(rng.integers(canvas.height - size[1] + 1))
        canvas.paste(picture, (left, top), alpha.filter(ImageFilter.GaussianBlur(0.7)))
        whole = np.zeros((canvas.height, canvas.width), bool)
        whole[top : top + size[1], left : left + size[0]] = np.asarray(alpha) > 127
        kept = [
            index
            for index, below in enumerate(masks)
            if (below & ~whole).sum() >= max(FEWEST_PIXELS, SMALLEST_VISIBLE * below.sum())
        ]
        masks = [*(masks[index] & ~whole for index in kept), whole]
        names = [*(names[index] for index in kept), name]
    return Photograph(canvas, masks, names)


def drawings(data: Path, rng: np.random.Generator) -> Iterator[Photograph]:
    """Collages of the three collections, without end."""
    coco, cats, people = (photographs(data / name) for name in ("coco", "cats", "people"))
    cat_cutouts = cutouts(cats)
    all_cutouts = cutouts(coco)
    for more in (cat_cutouts, cutouts(people)):
        for name, found in more.items():
            all_cutouts[name] += found
    calm = [photograph for photograph in coco if len(photograph.masks) <= CROWDED]
    single_cats = [photograph for photograph in cats if len(photograph.masks) <= 2]
    while True:
        match int(rng.choice(4, p=[0.25, 0.2, 0.35, 0.2])):
            case 0:
                yield side_by_side(calm, rng)
            case 1:
                yield side_by_side(single_cats, rng)
            case 2:
                yield pasted(calm[rng.integers(len(calm))], all_cutouts, rng)
            case _:
                yield pasted(single_cats[rng.integers(len(single_cats))], cat_cutouts, rng)


def drawings_of(objects: Path, grounds: Path, rng: np.random.Generator) -> Iterator[Photograph]:
    """Collages of one collection's objects, without end; photographs of `grounds` are but what some stand on."""
    sources, grounds_seen = photographs(objects), photographs(grounds)
    found = cutouts(sources)
    while True:
        if rng.random() < 0.5:
            yield side_by_side(sources, rng)
        else:
            ground = grounds_seen[rng.integers(len(grounds_seen))]
            there = [OTHER_NAMES.get(name, name) for name in ground.names]
            absent = {name: own for name, own in found.items() if not any(other in name for other in there)}
            yield pasted(Photograph(ground.picture, [], []), absent, rng)


def main() -> None:
    """Draw the collages and write the COCO file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--objects", type=Path, help="COCO folder whose objects alone are shown")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    if arguments.objects:
        collages = drawings_of(arguments.objects, arguments.data / "coco", rng)
    else:
        collages = drawings(arguments.data, rng)

    (arguments.out / "images").mkdir(parents=True, exist_ok=True)
    numbers: dict[str, int] = {}
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, collage in zip(track(range(1, arguments.n + 1), description="collages"), collages, strict=False):
        file_name = f"{number:05}.jpg"
        collage.picture.save(arguments.out / "images" / file_name, quality=88)
        width, height = collage.picture.size
        images.append({"id": number, "file_name": file_name, "width": width, "height": height, "split": "train"})
        for mask, name in zip(collage.masks, collage.names, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": number, "iscrowd": 0, "area": int(mask.sum()),
                    "category_id": numbers.setdefault(name, len(numbers) + 1), "segmentation": encode(mask),
                }
            )  # fmt: skip
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (arguments.out / "instances.json").write_text(json.dumps(content))
    print(f"{len(images)} pictures with {len(annotations)} objects in {arguments.out}")


if __name__ == "__main__":
    main()
