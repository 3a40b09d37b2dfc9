"""Where the pictures of a published data set lie, and what to do about those that do not."""

from __future__ import annotations

import os
from pathlib import Path

from referent.data.sample import Dataset, Missing
from referent.errors import DataError

BESIDE = (
    "images/mscoco/images/train2014",
    "images/train2014",
    "train2014",
    "images/trainval2014",
    "trainval2014",
    "images/val2014",
    "val2014",
    "images",
)
"""Where pictures are looked for beside the data set's folder: the layouts of refer, LAVT, CRIS, ReLA and DMMI."""

INSIDE = ("images", "images/VG_100K", "images/VG_100K_2", ".")
"""Where they are looked for in it: PhraseCut's layout, and Visual Genome's."""

NAMED = 5
"""Missing pictures that a message names; it counts the rest."""


class Pictures:
    """Finds picture files by name, and remembers those that it did not find.

    Args:
        folder: the data set's own.
        given: where the user says that they are, instead of the documented places.
    """

    def __init__(self, folder: Path, given: Path | None = None) -> None:
        folder = folder.resolve()
        places = [folder.parent / name for name in BESIDE] + [folder / name for name in INSIDE]
        if given is not None:
            places = [given.resolve(), given.resolve() / "train2014"]
        existing = [place for place in places if place.is_dir()]
        self.places = existing if given is None and len(existing) > 1 else places
        self._existing = existing or places[:1]
        self.missing: set[Path] = set()

    def find(self, name: str) -> Path:
        """The file of this name; where it would be first looked for, when there is none."""
        for folder in self._existing:
            path = folder / name
            if os.path.isfile(path):  # noqa: PTH113  (unlike Path.is_file it never raises)
                return path
        missing = self._existing[0] / name
        self.missing.add(missing)
        return missing


def without_missing(dataset: Dataset, pictures: Pictures, allow: bool, source: str) -> Dataset:
    """The data set without the samples whose picture is missing.

    Args:
        dataset: all samples.
        pictures: that looked for them.
        allow: whether they may be missing; they are counted in `Dataset.missing`.
        source: where to get them, for the message.

    Raises:
        DataError: pictures are missing and may not be, or all are.
    """
    if not pictures.missing:
        return dataset
    present = [sample for sample in dataset.samples if sample.picture not in pictures.missing]
    names = sorted({sample.picture.name for sample in dataset.samples if sample.picture in pictures.missing})
    if not names:
        return dataset
    missing = Missing(len(names), len(dataset.samples) - len(present))
    if not allow or not present:
        total = len({sample.picture for sample in dataset.samples})
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        places = "\n".join(f"  {place}" for place in pictures.places)
        raise DataError(
            f"{dataset.name}: {len(names)} of {total} pictures are missing, with {missing.phrases} of "
            f"{len(dataset.samples)} phrases: {listed}; looked in\n{places}\n"
            f"get them: {source}" + ("" if not present else "; or go on without them: --allow-missing")
        )
    return Dataset(dataset.name, present, dataset.problems, missing)
