"""JHMDB Sentences (Gavrilyuk et al., CVPR 2018): one sentence for each video of J-HMDB.

    jhmdb_annotation.txt                                 video_id,query
    puppet_mask/<action>/<video>/puppet_mask.mat         part_mask: (H, W, T), frame by frame
    Rename_Images/<action>/<video>/00001.png

Every annotated frame is one sample. Published results take some frames of each video.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from referent.data.actors.matlab import read_matlab
from referent.data.actors.sentences import read_sentences
from referent.data.checking import OnProblem, Problems
from referent.data.sample import Dataset, Sample
from referent.data.videos.frames import frames_in, size_of
from referent.errors import DataError
from referent.reference import Reference
from referent.rle import RLE, encode

FILE = "jhmdb_annotation.txt"
SPLIT = "test"
"""All of it tests models that were trained on A2D."""


def read_jhmdb(folder: Path, split: str | None = None, *, on_problem: OnProblem = "raise") -> Dataset:
    """The frames of all videos, each asked its video's sentence; masks are read when they are asked for.

    Args:
        folder: with `jhmdb_annotation.txt` in it.
        split: "test" or None.
        on_problem: "raise", or "skip" to leave out what is wrong and go on, with a warning in the log.

    Raises:
        DataError: another split, or a list of all that is wrong.
    """
    if split not in (None, SPLIT):
        raise DataError(f"{folder}: no split {split!r}; there is: {SPLIT}")
    places = {path.parent.name: path for path in folder.glob("puppet_mask/*/*/puppet_mask.mat")}
    problems, samples = Problems(folder, on_problem), list[Sample]()
    for line in read_sentences(folder / FILE, ("video_id", "query")):
        video = line["video_id"]
        if video not in places:
            problems.add(video, "no puppet_mask.mat")
            continue
        action = places[video].parent.parent.name
        try:
            frames = frames_in(folder / "Rename_Images" / action / video)
            masks = PuppetMasks(places[video], size_of(frames[0]))
            annotated = frames[: masks.count()]
        except DataError as error:
            problems.add(video, str(error))
            continue
        reference = Reference.of(line["query"])
        samples += [
            Sample(
                f"{video}/{frame.stem}", frame, masks.size, reference, PuppetMask(masks, number), SPLIT,
                {"kind": "actor", "video": video},
            )
            for number, frame in enumerate(annotated)
        ]  # fmt: skip
    return Dataset("JHMDB Sentences", samples, problems.settle())


class PuppetMasks:
    """The masks of one video, read together when the first is asked for.

    Args:
        path: of the MATLAB file.
        size: (height, width) of the frames.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        self.path, self.size = path, size
        self._rles: list[RLE | None] | None = None

    def count(self) -> int:
        """How many frames have a mask; they are the video's first.

        Raises:
            DataError: the file cannot be read, or its masks have another size.
        """
        return int(self._array().shape[2])

    def at(self, number: int) -> RLE | None:
        """Of the frame with this number, from 0; None where the actor is not seen.

        Raises:
            DataError: as `count`.
        """
        if self._rles is None:
            masks = np.moveaxis(self._array() > 0, 2, 0)
            self._rles = [encode(mask) if mask.any() else None for mask in masks]
        return self._rles[number]

    def _array(self) -> NDArray[Any]:
        array = read_matlab(self.path, "part_mask")
        array = array[..., None] if array.ndim == 2 else array
        if array.ndim != 3 or array.shape[:2] != self.size:
            raise DataError(f"{self.path}: expected masks of {self.size}, found {array.shape[:2]} (height, width)")
        return array


class PuppetMask(Sequence[RLE]):
    """What `Sample.targets` is of one frame.

    Args:
        masks: of its video.
        number: of the frame, from 0.
    """

    def __init__(self, masks: PuppetMasks, number: int) -> None:
        self._masks, self._number = masks, number

    def _targets(self) -> tuple[RLE, ...]:
        found = self._masks.at(self._number)
        return () if found is None else (found,)

    def __len__(self) -> int:
        return len(self._targets())

    @overload
    def __getitem__(self, index: int) -> RLE: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[RLE]: ...

    def __getitem__(self, index: int | slice) -> RLE | Sequence[RLE]:
        return self._targets()[index]
