"""Ref-YouTube-VOS (Refer-YouTube-VOS): expressions about the videos of YouTube-VOS 2019.

    meta_expressions/train/meta_expressions.json    expressions of each video, with the object's number
    meta_expressions/valid/..., test/...            without it
    train/JPEGImages/<video>/00000.jpg, train/Annotations/<video>/00000.png
    valid/JPEGImages/...

The validation set of published results is `valid` without the videos of `test` (202 videos).
"""

from __future__ import annotations

from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.videos.expressions import FILE, FOLDER, Spoken, as_numbers, read_expressions
from referent.data.videos.frames import SUFFIXES, size_of
from referent.data.videos.label_pictures import LabelPictures
from referent.data.videos.labelled import beginnings
from referent.data.videos.splits import chosen_split, collected
from referent.data.videos.video import Expression, Video, VideoSet
from referent.errors import DataError


def read_ref_youtube_vos(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: with `meta_expressions/` and a folder for each split.
        split: "train", "valid" or "test".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken file of expressions, or a list of all that is wrong with the videos.
    """
    split = chosen_split(folder, split, splits(folder))
    spoken = read_expressions(folder / FOLDER / split / FILE)
    test = folder / FOLDER / "test" / FILE
    if split == "valid" and test.is_file():
        spoken = {name: one for name, one in spoken.items() if name not in read_expressions(test)}

    def read(name: str) -> Video:
        return _video(name, folder / split, spoken[name])

    return collected(folder, "Ref-YouTube-VOS", "ref-youtube-vos", "referring", split, spoken, read, on_problem)


def splits(folder: Path) -> list[str]:
    """Those there are."""
    return sorted(path.parent.name for path in (folder / FOLDER).glob(f"*/{FILE}"))


def _video(name: str, place: Path, spoken: Spoken) -> Video:
    frames = named_frames(place / "JPEGImages" / name, spoken.frames)
    size, masks = size_of(frames[0]), place / "Annotations" / name
    files = {index: masks / f"{frame}.png" for index, frame in enumerate(spoken.frames)}
    pictures = LabelPictures({index: file for index, file in files.items() if file.is_file()}, size)
    expressions = [Expression(key, said.exp, as_numbers(said.obj_id)) for key, said in spoken.expressions.items()]
    numbers = {number for expression in expressions for number in expression.objects}
    return Video(name, frames, size, tuple(beginnings(pictures, numbers)), pictures, tuple(expressions))


def named_frames(folder: Path, names: list[str]) -> tuple[Path, ...]:
    """The frames of these names, whatever their ending.

    Raises:
        DataError: one is missing, or none is named.
    """
    if not names:
        raise DataError("no frames are listed")
    there = {path.stem: path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES}
    missing = [name for name in names if name not in there]
    if missing:
        raise DataError(f"{folder}: {len(missing)} of {len(names)} frames are missing, the first: {missing[0]}")
    return tuple(there[name] for name in names)
