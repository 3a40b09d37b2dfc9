"""LVOS v1 and v2: long videos.

    valid/JPEGImages/<video>/00000001.jpg
    valid/Annotations/<video>/00000001.png      object numbers, every fifth frame
    valid/valid_meta.json                       of each object the frames from `start` up to `end`
    unseen_videos.txt                           names of the videos of new categories; comes with the evaluation code

The meta file may also lie in `meta_jsons/`, or beside the splits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from referent.data.checking import OnProblem, read_text
from referent.data.published.json_files import read_json
from referent.data.videos.labelled import Labelled
from referent.data.videos.splits import NAMES, chosen_split, collected
from referent.data.videos.video import Video, VideoObject, VideoSet
from referent.errors import DataError

UNSEEN = "unseen_videos.txt"
META = "*_meta.json"
PLACES = (*NAMES, "meta_jsons", ".")
"""Folders within that of the data set in which `META` is looked for."""


_Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+$")]


class _Range(msgspec.Struct):
    # As numbers, or as text that may begin with zeros, as the frames' names do.
    start: int | _Digits
    end: int | _Digits


class _Object(msgspec.Struct):
    frame_range: _Range


class _Entry(msgspec.Struct):
    objects: dict[str, _Object]


class _Meta(msgspec.Struct):
    videos: dict[str, _Entry]


def metas(folder: Path) -> dict[str, Path]:
    """The meta file of each split that has one."""
    return {path.name.removesuffix("_meta.json"): path for place in PLACES for path in folder.glob(f"{place}/{META}")}


def read_lvos(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: with a folder for each split.
        split: "train", "valid" or "test".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken meta file, or a list of all that is wrong with the videos.
    """
    files = metas(folder)
    split = chosen_split(folder, split, files)
    meta: _Meta = read_json(files[split], _Meta, "LVOS's {videos: {VIDEO: {objects: {NUMBER: {frame_range}}}}}")
    lists = [path for path in (folder / UNSEEN, folder / split / UNSEEN) if path.is_file()]
    unseen = frozenset(read_text(lists[0]).split()) if lists else None

    def read(name: str) -> Video:
        place = folder / split
        labelled = Labelled.of(name, place / "JPEGImages" / name, place / "Annotations" / name)
        return labelled.video(_objects(labelled, meta.videos[name], None if unseen is None else name not in unseen))

    return collected(folder, "LVOS", "lvos", "semi-supervised", split, meta.videos, read, on_problem)


def _objects(labelled: Labelled, entry: _Entry, seen: bool | None) -> list[VideoObject]:
    numbers = {int(name): index for name, index in labelled.index.items() if name.isdecimal()}
    objects = []
    for number, item in sorted(entry.objects.items(), key=lambda pair: int(pair[0])):
        start, end = int(item.frame_range.start), int(item.frame_range.end)
        if start not in numbers:
            raise DataError(f"object {number}: begins in frame {start}, which is not there")
        # The official code counts up to `end`, itself left out.
        last = max(index for name, index in numbers.items() if name < max(end, start + 1))
        objects.append(VideoObject(int(number), numbers[start], None, seen, last))
    return objects
