"""Few-shot sets in folders of a class each, with a mask to every picture: FSS-1000 and what is laid out alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from referent.data.checking import OnProblem, Problems
from referent.data.class_names import as_phrase
from referent.data.few_shot.class_set import ClassSet, Drawn, class_sample
from referent.data.few_shot.pairing import Pair, class_pairs
from referent.data.few_shot.splits import SPLITS, split_classes, split_names
from referent.data.published.targets import Targets
from referent.data.sample import Sample
from referent.errors import DataError, PictureError
from referent.picture import picture_size, read_mask, read_picture
from referent.rle import RLE, encode

INSIDE_FROM = 128
"""Grey from which a pixel is the target's in a mask of soft edges, as FSS-1000 has some; HSNet and VAT cut there."""
FEW = 10
"""Pictures of a class up to which each is asked about in an evaluation; FSS-1000 has as many."""


def read_class_pairs(
    folder: Path, split: str | None = None, *, min_area: int = 0, on_problem: OnProblem = "raise"
) -> ClassSet:
    """The classes of a folder of folders (`pairing`), which splits share out among them.

    The folder may have folders `train`, `val` and `test` that hold those of the classes; else lists or a rule say
    which classes are whose (`splits`). Of pictures and masks only the headers are read, unless there is a `min_area`.

    Args:
        folder: of the data set.
        split: only the classes of "train", "val" or "test", or of several with commas; None for all.
        min_area: leave out pictures with fewer pixels of their class.
        on_problem: "raise", or "skip" to leave out what is wrong, with a warning in the log.

    Raises:
        DataError: no such split, no class with pictures and masks; or, unless skipped, pictures without mask, masks
            without picture, unreadable ones, and pairs of two sizes. An empty mask is found when it is read.
    """
    problems = Problems(folder, on_problem)
    of_split, note = _by_split(folder)
    wanted = split_names(split)
    for name in wanted or ():
        if name not in of_split:
            raise DataError(f"{folder}: no split {name!r}; there are: {', '.join(of_split)}")
    classes: dict[str, list[Sample]] = {}
    for own, members in of_split.items():
        for name, pairs in members.items() if wanted is None or own in wanted else ():
            samples = classes.setdefault(as_phrase(name), [])
            for pair in pairs:
                try:
                    sample = _sample(folder, own, as_phrase(name), pair)
                    if not min_area or sample.mask().sum() >= min_area:
                        samples.append(sample)
                except (DataError, PictureError) as error:
                    problems.add(f"{name}/{pair.stem}", str(error))
    left_out = problems.settle()
    found = {name: classes[name] for name in sorted(classes) if classes[name]}
    if not found:
        raise DataError(
            f"{folder}: expected a folder a class with pictures and masks (1.jpg and 1.png, a.jpg and a_mask.png, or "
            "images/a.jpg and masks/a.png)" + (f" in split {split!r}" if split else "") + ", found none"
        )
    few = max(map(len, found.values())) <= FEW
    return ClassSet(folder.resolve().name, found, left_out, (note,) if note and split else (), whole=few)


def _by_split(folder: Path) -> tuple[dict[str, dict[str, list[Pair]]], str]:
    """Pairs by class by split, and where the splits are from where that is not plain to see."""
    places = [(split, folder / file.removesuffix(".txt")) for split, files in SPLITS.items() for file in files]
    found = {split: class_pairs(place) for split, place in places if place.is_dir()}
    if any(found.values()):
        return found, ""
    pairs = class_pairs(folder)
    of_split, note = split_classes(folder, list(pairs))
    return {split: {name: pairs[name] for name in sorted(names)} for split, names in of_split.items()}, note


def _sample(folder: Path, split: str, name: str, pair: Pair) -> Sample:
    if pair.picture is None or pair.mask is None:
        raise DataError(f"found no {'picture' if pair.picture is None else 'mask'}")
    size, drawn = picture_size(pair.picture), picture_size(pair.mask)
    if size != drawn:
        raise DataError(f"the picture is {size[1]} x {size[0]}, the mask {drawn[1]} x {drawn[0]}")
    target = Targets([Drawn(partial(_read, pair.mask, size))])
    place = pair.picture.relative_to(folder).with_suffix("").as_posix()
    return class_sample(place, name, pair.picture, size, target, split)


def _read(path: Path, size: tuple[int, int]) -> RLE:
    try:
        mask = read_mask(path, size)
    except PictureError:
        values = np.asarray(read_picture(path))
        if (values != values[..., :1]).any():
            raise
        mask = values[..., 0] >= INSIDE_FROM
    if not mask.any():
        raise DataError(f"{path}: expected a mask of something, found an empty one")
    return encode(mask)
