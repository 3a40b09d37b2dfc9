"""One door for few-shot data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.few_shot.class_lists import is_list, read_names
from referent.data.few_shot.class_set import ClassSet
from referent.data.few_shot.coco import read_coco_classes
from referent.data.few_shot.folders import read_class_pairs
from referent.data.few_shot.voc import find_voc, read_voc
from referent.errors import DataError, listed


def open_class_set(
    path: Path,
    split: str | None = None,
    *,
    pictures: Path | None = None,
    classes: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    min_area: int = 0,
    on_problem: OnProblem = "raise",
) -> ClassSet:
    """A COCO file, VOC's folder, or a folder of class folders such as FSS-1000; told apart by what is in it.

    Args:
        path: the file or folder.
        split: only this split, or several with commas: of pictures in a COCO file and in VOC, of classes in class
            folders; None for all.
        pictures: folder of a COCO file's pictures, where they do not lie in a usual place.
        classes: only these, each as `read_names` takes it; all where there are none. A fold ("@coco-20i/0") or a file
            of names keeps those of its names that the data show.
        leave_out: not these, likewise.
        min_area: pixels that a class must have in a picture for this to show it.
        on_problem: "raise", or "skip" to leave out what is wrong, with a warning in the log.

    Raises:
        DataError: no such data, split or class, nothing left, or a list of all that is wrong.
    """
    if path.is_dir():
        if pictures is not None:
            raise DataError(f"{path}: pictures lie in such a folder itself; found {pictures} beside it")
        voc = find_voc(path)
        if voc is not None:
            found = read_voc(voc, split, min_area=min_area, on_problem=on_problem)
        else:
            found = read_class_pairs(path, split, min_area=min_area, on_problem=on_problem)
    else:
        found = read_coco_classes(path, split, pictures=pictures, min_area=min_area, on_problem=on_problem)
    wanted = set(_shown(found, classes) if classes else found.classes)
    unwanted = set(_shown(found, leave_out))
    left = {name: samples for name, samples in found.classes.items() if name in wanted and name not in unwanted}
    if not left:
        raise DataError(f"{found.name}: of {len(found.classes)} classes none is left")
    return replace(found, classes=left)


def _shown(found: ClassSet, values: Sequence[str]) -> list[str]:
    """The classes that `values` name and the set has: all of those named one by one, at least one of a list's."""
    shown: list[str] = []
    for value in values:
        names = read_names([value])
        present = [name for name in names if name in found.classes]
        if not present or (len(present) < len(names) and not is_list(value)):
            unknown = listed(set(names) - set(present))
            raise DataError(f"{found.name}: no picture shows {unknown}; there are: {listed(found.classes)}")
        shown += present
    return shown
