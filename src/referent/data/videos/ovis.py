"""OVIS, YouTube-VIS and everything else in the latter's format: one JSON file for all videos.

    annotations_train.json          videos [{id, width, height, file_names}], annotations [{video_id, segmentations}]
    train/<video>/img_0000001.jpg

The frames may also lie in `JPEGImages/` or in `train/JPEGImages/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from referent.data.checking import OnProblem
from referent.data.published.json_files import read_json
from referent.data.videos.run_lengths import RunLengths
from referent.data.videos.splits import chosen_split, collected
from referent.data.videos.video import Video, VideoObject, VideoSet
from referent.errors import DataError

_FILE = re.compile(r"annotations_(?P<split>\w+)\.json")


class _Video(msgspec.Struct):
    id: int | str
    width: int
    height: int
    file_names: list[str]


class _Annotation(msgspec.Struct):
    video_id: int | str
    segmentations: msgspec.Raw
    category_id: int | str | None = None
    iscrowd: int = 0


class _Category(msgspec.Struct):
    id: int | str
    name: str


class _File(msgspec.Struct):
    videos: list[_Video]
    annotations: list[_Annotation] | None = None
    categories: list[_Category] = []


def annotation_files(folder: Path) -> dict[str, Path]:
    """The file of each split that has one."""
    return {found["split"]: path for path in folder.glob("*.json") if (found := _FILE.fullmatch(path.name))}


def read_ovis(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: of the data set.
        split: "train" or "valid".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken file, or a list of all that is wrong with the videos.
    """
    files = annotation_files(folder)
    split = chosen_split(folder, split, files)
    content: _File = read_json(files[split], _File, "YouTube-VIS's {videos, annotations, categories}")
    things: dict[int | str, list[_Annotation]] = {}
    for annotation in content.annotations or ():
        if not annotation.iscrowd:
            things.setdefault(annotation.video_id, []).append(annotation)
    names = {category.id: category.name for category in content.categories}
    places = [folder / split, folder / split / "JPEGImages", folder / "JPEGImages", folder]

    def read(video: _Video) -> Video:
        if not video.file_names:
            raise DataError("no frames")
        frames = tuple(_place(places, video.file_names[0]) / name for name in video.file_names)
        size, own = (video.height, video.width), dict(enumerate(things.get(video.id, ()), start=1))
        lists = {number: _list_of(one) for number, one in own.items()}
        masks = RunLengths(lists, size, 0 if content.annotations is None else len(frames))
        objects = [
            VideoObject(number, first, names.get(one.category_id or 0))
            for number, one in own.items()
            if (first := masks.first(number)) is not None
        ]
        return Video(_name(video), frames, size, tuple(objects), masks)

    return collected(folder, "OVIS", "ovis", "semi-supervised", split, content.videos, read, on_problem, _name)


def _name(video: _Video) -> str:
    return Path(video.file_names[0]).parent.name if video.file_names else str(video.id)


def _list_of(annotation: _Annotation) -> Callable[[], Sequence[Any]]:
    return lambda: msgspec.json.decode(annotation.segmentations)


def _place(places: list[Path], name: str) -> Path:
    for place in places:
        if (place / name).is_file():
            return place
    raise DataError(f"no such frame: {name}, looked for in {', '.join(map(str, places))}")
