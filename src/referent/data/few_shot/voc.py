"""PASCAL VOC 2012 with the masks of SBD, in the layout that few-shot segmentation uses (PASCAL-5i).

VOC2012/JPEGImages/*.jpg
VOC2012/SegmentationClassAug/*.png     SBD's masks merged into VOC's; or SegmentationClass, VOC's own
VOC2012/ImageSets/Segmentation/val.txt, trainaug.txt, train.txt, ...
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.checking import OnProblem, Problems, find_file, read_text
from referent.data.few_shot.class_lists import VOC_NAMES
from referent.data.few_shot.class_set import ClassSet, Drawn, class_sample
from referent.data.few_shot.splits import split_names
from referent.data.published.targets import Targets
from referent.data.sample import Sample
from referent.errors import DataError, PictureError
from referent.picture import picture_size
from referent.rle import RLE, encode

MASK_FOLDERS = ("SegmentationClassAug", "SegmentationClass")
LISTS = {"train": ("trainaug", "train_aug", "train")}
"""Lists that a split's name may mean, best first; any other name means its own."""
VOID = 255
"""Pixels of this value, borders of objects, are nobody's: no evaluation on VOC counts them."""
WRAPPERS = ("", "VOC2012", "VOCdevkit/VOC2012")


def find_voc(folder: Path) -> Path | None:
    """The folder that holds `JPEGImages` and class masks, in `folder` or where the archive puts it."""
    return next((folder / name for name in WRAPPERS if _masks(folder / name) is not None), None)


def read_voc(
    folder: Path, split: str | None = "val", *, min_area: int = 0, on_problem: OnProblem = "raise"
) -> ClassSet:
    """VOC's 20 classes in the pictures of a split. Every class mask is read once, for what it shows.

    Args:
        folder: of `find_voc`.
        split: "val", "train" (SBD's where its list is there), "trainval", ..., or several with commas; None for every
            class mask there is.
        min_area: leave out a class of a picture with fewer pixels there (PFENet takes 2,048).
        on_problem: "raise", or "skip" to leave out what is wrong, with a warning in the log.

    Raises:
        DataError: no such list, nothing usable; or, unless skipped, missing, unreadable and mismatched files.
    """
    masks = _masks(folder)
    if masks is None:
        raise DataError(f"{folder}: expected JPEGImages and {' or '.join(MASK_FOLDERS)}")
    problems = Problems(folder, on_problem)
    classes: dict[str, list[Sample]] = {name: [] for name in VOC_NAMES}
    for name, listed in _listed(folder, masks, split_names(split)).items():
        try:
            picture, mask = find_file(f"{name}.jpg", [folder / "JPEGImages"]), find_file(f"{name}.png", [masks])
            size, labels = picture_size(picture), _labels(mask)
            if labels.shape != size:
                raise DataError(f"{mask}: {labels.shape[0]} x {labels.shape[1]}, its picture {size[0]} x {size[1]}")
        except (DataError, PictureError) as error:
            problems.add(name, str(error))
            continue
        pixels = np.bincount(labels.ravel(), minlength=256)
        for value, own in enumerate(VOC_NAMES, 1):
            if pixels[value] > 0 and pixels[value] >= min_area:
                target, void = (Targets([Drawn(partial(_read, mask, number))]) for number in (value, VOID))
                border = void if pixels[VOID] else ()
                classes[own].append(class_sample(f"{own}/{name}", own, picture, size, target, listed, border))
    left_out = problems.settle()
    found = {name: samples for name, samples in classes.items() if samples}
    if not found:
        raise DataError(f"{folder}: no picture shows a class" + (f" in split {split!r}" if split else ""))
    return ClassSet(f"{folder.resolve().name}/{masks.name}", found, left_out)


def _masks(folder: Path) -> Path | None:
    if not (folder / "JPEGImages").is_dir():
        return None
    return next((folder / name for name in MASK_FOLDERS if (folder / name).is_dir()), None)


def _listed(folder: Path, masks: Path, splits: Sequence[str] | None) -> dict[str, str]:
    """The pictures of these splits, each with the first split, by name, that lists it."""
    if splits is None:
        return dict.fromkeys(sorted(path.stem for path in masks.glob("*.png")), "all")
    found: dict[str, str] = {}
    for split in sorted(splits):
        for name in _list(folder, split):
            found.setdefault(name, split)
    return found


def _list(folder: Path, split: str) -> list[str]:
    lists = folder / "ImageSets" / "Segmentation"
    for name in LISTS.get(split, (split,)):
        if (lists / f"{name}.txt").is_file():
            # SBD's lists have a path a line for the picture and one for its mask.
            lines = read_text(lists / f"{name}.txt").split("\n")
            return [Path(line.split()[0]).stem for line in lines if line.strip()]
    there = ", ".join(sorted(path.stem for path in lists.glob("*.txt"))) if lists.is_dir() else "none"
    raise DataError(f"{folder}: no list of split {split!r} in ImageSets/Segmentation; there are: {there}")


def _labels(path: Path) -> NDArray[np.uint8]:
    """(H, W) class of every pixel, or `VOID`."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            values = np.asarray(image)
    except Exception as error:  # decoders raise anything on hostile bytes
        raise DataError(f"{path}: cannot be read ({error})") from None
    if values.ndim != 2 or values.dtype != np.uint8:
        raise DataError(f"{path}: expected a PNG with a class number a pixel, found {values.dtype} {values.shape}")
    return values


def _read(path: Path, value: int) -> RLE:
    return encode(_labels(path) == value)
