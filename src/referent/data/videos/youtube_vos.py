"""YouTube-VOS 2018 and 2019.

    train/JPEGImages/<video>/00000.jpg      every fifth frame of the film: 00000, 00005, ...
    train/Annotations/<video>/00000.png     object numbers; of `valid` and `test` only where an object begins
    train/meta.json                         of each object: category, and the frames it is to be found in
    valid/..., test/...

Of `valid` and `test`, an object is seen where `train` has its category.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from referent.data.checking import OnProblem
from referent.data.published.json_files import read_json
from referent.data.videos.labelled import Labelled
from referent.data.videos.splits import chosen_split, collected, split_folders
from referent.data.videos.video import Video, VideoObject, VideoSet
from referent.errors import DataError

META = "meta.json"


class _Object(msgspec.Struct):
    frames: list[str]
    category: str | None = None


class _Entry(msgspec.Struct):
    objects: dict[str, _Object]


class Meta(msgspec.Struct):
    """What `meta.json` holds: objects of each video by their numbers."""

    videos: dict[str, _Entry]


def read_youtube_vos(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: with a folder for each split.
        split: "train", "valid" or "test".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken `meta.json`, or a list of all that is wrong with the videos.
    """
    split = chosen_split(folder, split, splits(folder))
    place = folder / split
    meta = read_meta(place / META)
    trained = folder / "train" / META
    known = None if split == "train" or not trained.is_file() else _categories(read_meta(trained))

    def read(name: str) -> Video:
        labelled = Labelled.of(name, place / "JPEGImages" / name, place / "Annotations" / name)
        return labelled.video(_objects(labelled, meta.videos[name], known))

    return collected(folder, "YouTube-VOS", "youtube-vos", "semi-supervised", split, meta.videos, read, on_problem)


def splits(folder: Path) -> list[str]:
    """Those there are."""
    return split_folders(folder, META)


def read_meta(path: Path) -> Meta:
    """The content of a `meta.json`.

    Raises:
        DataError: missing, broken, or of another shape.
    """
    found: Meta = read_json(path, Meta, "YouTube-VOS's {videos: {VIDEO: {objects: {NUMBER: {category, frames}}}}}")
    return found


def _categories(meta: Meta) -> frozenset[str | None]:
    return frozenset(item.category for entry in meta.videos.values() for item in entry.objects.values())


def _objects(labelled: Labelled, entry: _Entry, known: frozenset[str | None] | None) -> list[VideoObject]:
    objects = []
    for number, item in sorted(entry.objects.items(), key=lambda pair: int(pair[0])):
        if not item.frames or item.frames[0] not in labelled.index:
            raise DataError(f"object {number}: expected the names of frames, found {item.frames[:1]}")
        seen = None if known is None else item.category in known
        objects.append(VideoObject(int(number), labelled.index[item.frames[0]], item.category, seen))
    return objects
