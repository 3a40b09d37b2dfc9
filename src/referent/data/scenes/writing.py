"""A data set of made pictures on disk.

    OUT/made.json       what it was made with
    OUT/images/         000000.png, ...
    OUT/phrases.jsonl   one phrase a line, as `referent train` and `referent evaluate` read it
    OUT/scenes.jsonl    one scene a line: things, places, masks, boxes, relations
    OUT/refer/          the same phrases in the layout of the `refer` toolbox
    OUT/clips/          clips in the layout of DAVIS

A run that was cut off goes on when it is started again in the same way: pictures that are there are kept, as they would
come out the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from referent.data.scenes.davis_layout import DavisLayout
from referent.data.scenes.examples import Example, example
from referent.data.scenes.records import file_name, phrase_records, scene_record
from referent.data.scenes.refer_layout import ReferLayout
from referent.errors import DataError
from referent.files import atomic_path, atomic_write

MADE = "made.json"
EDITION = 1
"""Of the pictures and phrases; raised when the same seed makes others."""


@dataclass(frozen=True)
class Settings:
    """What decides a data set: how many pictures and clips, their seed, and the side of the square pictures."""

    pictures: int = 1000
    clips: int = 0
    seed: int = 0
    size: int = 256


def write_scenes(out: Path, settings: Settings, counts: Counter[str]) -> Iterator[None]:
    """Claims the folder at once, then writes a data set, step by step: yields after every picture and every clip.

    Args:
        out: a folder that is new, empty, or holds what the same settings made.
        settings: what to make.
        counts: receives how many phrases of each kind there are.

    Raises:
        DataError: the folder holds something else.
    """
    _claim(out, settings)
    return _steps(out, settings, counts)


def _steps(out: Path, settings: Settings, counts: Counter[str]) -> Iterator[None]:
    square = settings.size, settings.size
    images = out / "images"
    images.mkdir(exist_ok=True)
    refer = ReferLayout()
    with (
        atomic_path(out / "phrases.jsonl") as phrases,
        atomic_path(out / "scenes.jsonl") as scenes,
        phrases.open("w", encoding="utf-8") as phrase_lines,
        scenes.open("w", encoding="utf-8") as scene_lines,
    ):
        for index in range(settings.pictures):
            made = example(settings.seed, index, square)
            _write_picture(made, images)
            for record in phrase_records(made):
                phrase_lines.write(json.dumps(record) + "\n")
            scene_lines.write(json.dumps(scene_record(made)) + "\n")
            refer.add(made)
            counts.update(said.kind for said in made.said)
            yield
    (out / "refer").mkdir(exist_ok=True)
    refer.write(out / "refer")
    if settings.clips:
        clips = DavisLayout(out / "clips", settings.seed, square)
        for index in range(settings.clips):
            clips.add(index)
            yield
        clips.finish()


def _claim(out: Path, settings: Settings) -> None:
    """Makes the folder, or makes sure that it is this data set's."""
    if out.is_file():
        raise DataError(f"{out}: expected a folder, found a file")
    out.mkdir(parents=True, exist_ok=True)
    note = json.dumps(asdict(settings) | {"edition": EDITION})
    if not any(out.iterdir()):
        atomic_write(out / MADE, note)
    elif not (out / MADE).is_file():
        raise DataError(f"{out}: not empty, and not made by this command; give a new folder")
    elif (found := (out / MADE).read_text(encoding="utf-8")) != note:
        raise DataError(f"{out}: was made with {found}, not with {note}; give a new folder, or delete this one")


def _write_picture(made: Example, folder: Path) -> None:
    path = folder / file_name(made.index)
    if not path.exists():
        with atomic_path(path, sync=False) as temporary:
            Image.fromarray(made.picture).save(temporary, format="PNG")
