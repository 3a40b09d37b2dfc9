"""DAVIS 2016 and 2017, and folders that lie like them.

    JPEGImages/480p/<sequence>/00000.jpg       or without the resolution: JPEGImages/<sequence>/00000.jpg
    Annotations/480p/<sequence>/00000.png      object numbers; of 2016 one object, 255, or one bit a pixel
    Annotations_unsupervised/480p/...          of the unsupervised task of 2019: all objects that move into view
    ImageSets/2017/val.txt                     names of sequences; ImageSets/480p/val.txt of 2016 names frames
    meta.json                                  only of folders that say in which frames each object is seen
    meta_expressions/val/meta_expressions.json    only of folders with expressions about the objects

Of the test sets the first frame alone has masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from referent.data.checking import OnProblem, read_text
from referent.data.videos.expressions import FILE, as_numbers, read_expressions
from referent.data.videos.expressions import FOLDER as EXPRESSIONS
from referent.data.videos.frames import frames_in
from referent.data.videos.label_pictures import VOID, read_labels
from referent.data.videos.labelled import Labelled
from referent.data.videos.splits import collected
from referent.data.videos.video import Expression, Task, Video, VideoObject, VideoSet
from referent.data.videos.youtube_vos import META, listed_objects, read_meta
from referent.errors import DataError

Year = Literal["2016", "2017"]
UNSUPERVISED = "Annotations_unsupervised"
RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""Folders between `JPEGImages` and the sequences; the first that is there is read."""


def read_davis(
    folder: Path,
    split: str | None = None,
    *,
    year: Year | None = None,
    task: Task = "semi-supervised",
    on_problem: OnProblem = "raise",
) -> VideoSet:
    """The sequences of a DAVIS folder.

    Args:
        folder: with `JPEGImages` in it.
        split: of which list the sequences are; None for all that are there.
        year: "2016" takes all that is marked as one object; None for what the folder is: 2017 where `ImageSets/2017`
            is there, or where the first mask has a palette.
        task: "unsupervised" reads `Annotations_unsupervised`.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.

    Raises:
        DataError: no such split, no sequences, or a list of all that is wrong: frames or masks missing, unreadable, of
            another size.
    """
    pictures = _with_resolution(folder / "JPEGImages")
    masks = _with_resolution(folder / (UNSUPERVISED if task == "unsupervised" else "Annotations"))
    names = _names(folder, split, year) if split is not None else _folders_in(pictures)
    single = (year or _year(folder, masks, names)) == "2016"
    meta = read_meta(folder / META).videos if (folder / META).is_file() else {}
    said = _expressions(folder, split)

    def read(name: str) -> Video:
        labelled = Labelled.of(name, pictures / name, masks / name)
        if single:
            return labelled.video([VideoObject(1, min(labelled.files))], single=True)
        objects = listed_objects(labelled, meta[name]) if name in meta else _of_first_mask(labelled)
        return labelled.video(objects, said.get(name, ()))

    title = "DAVIS 2016" if single else "DAVIS 2017"
    return collected(folder, title, "davis", task, split, names, read, on_problem)


def _of_first_mask(labelled: Labelled) -> list[VideoObject]:
    """As in the official toolkit: there are as many as the greatest number in the first mask."""
    first = min(labelled.files)
    labels = read_labels(labelled.files[first], labelled.size)
    greatest = int(labels[labels != VOID].max(initial=0))
    return [VideoObject(number, first) for number in range(1, greatest + 1)]


def _expressions(folder: Path, split: str | None) -> dict[str, tuple[Expression, ...]]:
    """By sequence, where a file says so."""
    files = (folder / EXPRESSIONS).glob(f"{split or '*'}/{FILE}")
    return {
        name: tuple(Expression(key, said.exp, as_numbers(said.obj_id)) for key, said in spoken.expressions.items())
        for file in files
        for name, spoken in read_expressions(file).items()
    }


def _names(folder: Path, split: str, year: Year | None) -> list[str]:
    years = ("2016", "2017") if year == "2016" else ("2017", "2016")
    places = [folder / "ImageSets" / each / f"{split}.txt" for each in years]
    places += [folder / "ImageSets" / "480p" / f"{split}.txt", folder / f"{split}.txt"]
    for place in places:
        if place.is_file():
            names = [_sequence(line) for line in read_text(place).splitlines() if line.strip()]
            return list(dict.fromkeys(names))
    raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(splits(folder)) or 'no lists of sequences'}")


def splits(folder: Path) -> list[str]:
    """Names of the lists there are: of 2017, or else of 2016."""
    for place in ("ImageSets/2017", "ImageSets/2016", "ImageSets/480p", "."):
        found = sorted(path.stem for path in (folder / place).glob("*.txt"))
        if found:
            return found
    return []


def _sequence(line: str) -> str:
    """Of a line of a list: the name itself, or the folder of the first of two files."""
    first = line.split()[0]
    return PurePosixPath(first).parent.name if "/" in first else first


def _year(folder: Path, masks: Path, names: Sequence[str]) -> Year:
    if (folder / "ImageSets" / "2017").is_dir():
        return "2017"
    for name in names:
        if (masks / name).is_dir():
            return "2017" if _has_palette(frames_in(masks / name)[0]) else "2016"
    return "2016"


def _has_palette(path: Path) -> bool:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.mode == "P"
    except (OSError, UnidentifiedImageError):
        return False


def _with_resolution(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected DAVIS's layout: JPEGImages/ and Annotations/")
    return next((folder / name for name in RESOLUTIONS if (folder / name).is_dir()), folder)


def _folders_in(folder: Path) -> list[str]:
    return sorted(child.name for child in folder.iterdir() if child.is_dir())
