"""MOSE v1 and v2: crowded scenes.

train/JPEGImages/<video>/00000.jpg
train/Annotations/<video>/00000.png     object numbers; of `valid` the first frame alone
meta_train.json                         numbers of the objects of each video; may lie in `train/`, or be missing
valid/...
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from referent.data.checking import OnProblem
from referent.data.published.json_files import read_json
from referent.data.videos.labelled import Labelled, beginnings
from referent.data.videos.splits import chosen_split, collected, split_folders
from referent.data.videos.video import Video, VideoSet


class _Entry(msgspec.Struct):
    objects: list[int] | dict[int, msgspec.Raw]


class _Meta(msgspec.Struct):
    videos: dict[str, _Entry]


def read_mose(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: with a folder for each split.
        split: "train" or "valid".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken meta file, or a list of all that is wrong with the videos.
    """
    split = chosen_split(folder, split, splits(folder))
    place = folder / split
    files = [path for path in (folder / f"meta_{split}.json", place / f"meta_{split}.json") if path.is_file()]
    said: dict[str, _Entry] = {}
    if files:
        said = read_json(files[0], _Meta, "MOSE's {videos: {VIDEO: {objects: [NUMBER, ...]}}}", strict=False).videos
    names = said or sorted(path.name for path in (place / "JPEGImages").iterdir() if path.is_dir())

    def read(name: str) -> Video:
        labelled = Labelled.of(name, place / "JPEGImages" / name, place / "Annotations" / name)
        return labelled.video(beginnings(labelled.masks(), said[name].objects if name in said else None))

    return collected(folder, "MOSE", "mose", "semi-supervised", split, names, read, on_problem)


def splits(folder: Path) -> list[str]:
    """Those there are."""
    return split_folders(folder, "JPEGImages")
