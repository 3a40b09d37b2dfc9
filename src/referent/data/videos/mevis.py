"""MeViS: expressions about motion, of one object or several.

train/meta_expressions.json     expressions of each video, with `anno_id`: keys of masks
train/mask_dict.json            for each key a list of masks, one a frame
train/JPEGImages/<video>/00000.jpg
valid_u/...                     the same, for one's own scores
valid/...                       without masks, for the server
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from referent.data.checking import OnProblem
from referent.data.published.json_files import read_json
from referent.data.videos.expressions import FILE, Spoken, as_numbers, read_expressions
from referent.data.videos.frames import size_of
from referent.data.videos.ref_youtube_vos import named_frames
from referent.data.videos.run_lengths import RunLengths
from referent.data.videos.splits import chosen_split, collected, split_folders
from referent.data.videos.video import Expression, Video, VideoObject, VideoSet
from referent.errors import DataError

MASKS = "mask_dict.json"


def read_mevis(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> VideoSet:
    """One split.

    Args:
        folder: with a folder for each split.
        split: "train", "valid_u" or "valid".
        on_problem: see `collected`.

    Raises:
        DataError: no such split, a broken file, or a list of all that is wrong with the videos.
    """
    split = chosen_split(folder, split, splits(folder))
    place = folder / split
    spoken = read_expressions(place / FILE)
    masks: Mapping[str, msgspec.Raw] = {}
    if (place / MASKS).is_file():
        # Left as text: decoded, the masks of the training set would fill the memory.
        masks = read_json(place / MASKS, dict[str, msgspec.Raw], "{KEY: [MASK or null, ...]}")

    def read(name: str) -> Video:
        return _video(name, place, spoken[name], masks)

    return collected(folder, "MeViS", "mevis", "referring", split, spoken, read, on_problem)


def splits(folder: Path) -> list[str]:
    """Those there are."""
    return split_folders(folder, FILE)


def _video(name: str, place: Path, spoken: Spoken, masks: Mapping[str, msgspec.Raw]) -> Video:
    frames = named_frames(place / "JPEGImages" / name, spoken.frames)
    keys = sorted({key for said in spoken.expressions.values() for key in as_numbers(said.anno_id)})
    unknown = [key for key in keys if masks and str(key) not in masks]
    if unknown:
        raise DataError(f"{MASKS} has no masks {', '.join(map(str, unknown[:5]))}")
    numbers = {key: number for number, key in enumerate(keys, start=1)} if masks else {}
    lists = {number: _list_of(masks[str(key)]) for key, number in numbers.items()}
    size = size_of(frames[0])
    truth = RunLengths(lists, size, len(frames) if masks else 0)
    expressions = tuple(
        Expression(key, said.exp, tuple(numbers[one] for one in as_numbers(said.anno_id)) if masks else ())
        for key, said in spoken.expressions.items()
    )
    return Video(name, frames, size, tuple(map(VideoObject, numbers.values())), truth, expressions)


def _list_of(raw: msgspec.Raw) -> Callable[[], Sequence[Any]]:
    return lambda: msgspec.json.decode(raw)
