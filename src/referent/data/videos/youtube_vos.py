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


class Thing(msgspec.Struct):
    """One object: the frames in which it is to be found, and what it is."""

    frames: list[str]
    category: str | None = None


class Entry(msgspec.Struct):
    """One video: its objects by their numbers."""

    objects: dict[int, Thing]


class Meta(msgspec.Struct):
    """What `meta.json` holds."""

    videos: dict[str, Entry]


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
        return labelled.video(listed_objects(labelled, meta.videos[name], known))

    return collected(folder, "YouTube-VOS", "youtube-vos", "semi-supervised", split, meta.videos, read, on_problem)


def splits(folder: Path) -> list[str]:
    """Those there are."""
    return split_folders(folder, META)


def read_meta(path: Path) -> Meta:
    """The content of a `meta.json`.

    Raises:
        DataError: missing, broken, or of another shape.
    """
    found: Meta = read_json(
        path, Meta, "YouTube-VOS's {videos: {VIDEO: {objects: {NUMBER: {category, frames}}}}}", strict=False
    )
    return found


def _categories(meta: Meta) -> frozenset[str | None]:
    return frozenset(item.category for entry in meta.videos.values() for item in entry.objects.values())


def listed_objects(labelled: Labelled, entry: Entry, known: frozenset[str | None] | None = None) -> list[VideoObject]:
    """Those of a video that are to be found in any frame, by number.

    Args:
        labelled: the video's folders.
        entry: what `meta.json` says of it.
        known: categories of the training split; None where nobody says.

    Raises:
        DataError: an object begins in a frame that is not there.
    """
    objects = []
    for number, item in sorted(entry.objects.items()):
        if item.frames and item.frames[0] not in labelled.index:
            raise DataError(f"object {number}: begins in frame {item.frames[0]}, which is not there")
        if item.frames:
            seen = None if known is None else item.category in known
            objects.append(VideoObject(number, labelled.index[item.frames[0]], item.category, seen))
    return objects
