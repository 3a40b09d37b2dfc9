"""A2D Sentences (Gavrilyuk et al., CVPR 2018): sentences about the actors of A2D, with masks on a few frames a video.

    a2d_annotation.txt                                        video_id,instance_id,query
    a2d_annotation_with_instances/<video>/<frame>.h5          `instance`: ids; `reMask`: their masks, transposed
    a2d_missed_videos.txt                                     videos to leave out; may be missing
    Release/videoset.csv                                      column 9: 0 train, 1 test
    Release/pngs320H/<video>/<frame>.png                      A2D's own frames

Every sentence about every annotated frame that shows its actor is one sample. The masks are HDF5 files, which `h5py`
reads: `pip install 'referent[a2d]'`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from referent.data.actors.sentences import read_sentences
from referent.data.checking import OnProblem, Problems, read_text
from referent.data.sample import Dataset, Sample
from referent.errors import DataError
from referent.reference import Reference
from referent.rle import RLE, encode

FILE = "a2d_annotation.txt"
INSTANCES = "a2d_annotation_with_instances"
MISSED = "a2d_missed_videos.txt"
VIDEOS = "Release/videoset.csv"
FRAMES = "Release/pngs320H"
_ID, _SPLIT = 0, 8
"""Columns of `VIDEOS`, which has no heading."""
_SPLITS: Mapping[str, str] = {"0": "train", "1": "test"}


def read_a2d(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> Dataset:
    """The annotated frames of one split with their sentences.

    Args:
        folder: with `a2d_annotation.txt` in it.
        split: "train" or "test"; None for both.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.

    Raises:
        DataError: `h5py` is not installed, no such split, or a list of all that is wrong.
    """
    if split not in (None, *_SPLITS.values()):
        raise DataError(f"{folder}: no split {split!r}; there are: {', '.join(_SPLITS.values())}")
    splits = _splits(folder / VIDEOS)
    missed = frozenset(read_text(folder / MISSED).split()) if (folder / MISSED).is_file() else frozenset()
    said: dict[str, list[tuple[int, str]]] = {}
    for line in read_sentences(folder / FILE, ("video_id", "instance_id", "query")):
        said.setdefault(line["video_id"], []).append((_number(folder / FILE, line["instance_id"]), line["query"]))
    problems, samples = Problems(folder, on_problem), list[Sample]()
    for video, sentences in said.items():
        own = splits.get(video)
        if video in missed or (split is not None and own != split):
            continue
        try:
            samples += _samples(folder, video, sentences, own or "train")
        except DataError as error:
            problems.add(video, str(error))
    return Dataset("A2D Sentences", samples, problems.settle())


def _samples(folder: Path, video: str, sentences: list[tuple[int, str]], split: str) -> Iterator[Sample]:
    files = sorted((folder / INSTANCES / video).glob("*.h5"))
    if not files:
        raise DataError(f"{folder / INSTANCES / video}: no annotated frames")
    for file in files:
        frame = folder / FRAMES / video / f"{file.stem}.png"
        if not frame.is_file():
            raise DataError(f"no such frame: {frame}")
        masks = read_instances(file)
        for instance, query in sentences:
            if instance in masks:
                rle = masks[instance]
                yield Sample(
                    f"{video}/{file.stem}/{instance}", frame, (rle["size"][0], rle["size"][1]), Reference.of(query),
                    (rle,), split, {"kind": "actor", "video": video},
                )  # fmt: skip


def read_instances(path: Path) -> dict[int, RLE]:
    """The masks of one annotated frame, by the actors' ids.

    Raises:
        DataError: `h5py` is not installed, or the file cannot be read.
    """
    try:
        import h5py
    except ImportError:
        raise DataError(f"{path}: HDF5 files are read by h5py: pip install 'referent[a2d]'") from None
    try:
        with h5py.File(path, "r") as file:
            ids = np.asarray(file["instance"]).ravel()
            masks = np.asarray(file["reMask"])
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: expected HDF5 with `instance` and `reMask` ({error})") from None
    masks = masks[None] if masks.ndim == 2 else masks
    if len(masks) != len(ids):
        raise DataError(f"{path}: expected a mask for each of {len(ids)} actors, found {len(masks)}")
    # MATLAB wrote them column by column.
    return {int(one): encode(mask.T > 0) for one, mask in zip(ids, masks, strict=True) if mask.any()}


def _splits(path: Path) -> dict[str, str]:
    found = {}
    for number, row in enumerate(csv.reader(read_text(path).splitlines()), start=1):
        if len(row) <= _SPLIT or row[_SPLIT].strip() not in _SPLITS:
            raise DataError(f"{path}: line {number}: expected 0 or 1 in column {_SPLIT + 1}")
        found[row[_ID].strip()] = _SPLITS[row[_SPLIT].strip()]
    return found


def _number(path: Path, text: str) -> int:
    if not text.isdecimal():
        raise DataError(f"{path}: expected the number of an actor, found {text!r}")
    return int(text)
