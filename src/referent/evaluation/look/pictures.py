"""The picture files of a page: one photograph a picture, three layers a phrase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.sample import Sample
from referent.errors import DataError, PictureError
from referent.evaluation.look import layers
from referent.evaluation.look.cases import Case
from referent.picture import read_picture
from referent.rle import RLE, decode

FOLDER = "pictures"
SUFFIX = ".webp"
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """A case with its files.

    Attributes:
        case: see there.
        picture: the path that was tried.
        size: (width, height) of the files in pixels.
        photograph: name of its file in `FOLDER`; None where the picture cannot be read.
        layers: names of the files of "compared", "answer" and "truth", as far as they could be made.
        problems: why something is missing, a sentence each.
    """

    case: Case
    picture: Path
    size: tuple[int, int]
    photograph: str | None
    layers: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def draw_cases(
    cases: Iterable[Case], masks: Mapping[str, RLE], samples: Mapping[str, Sample], heeds_found: bool, folder: Path
) -> Iterator[Shown]:
    """Makes the files of every case, and says which.

    Args:
        cases: what to show.
        masks: the answer to each, by id.
        samples: of the data set, by id, for truth and picture; a case may have none.
        heeds_found: an answer that is called not found counts as empty.
        folder: where the files go; it exists.

    Raises:
        DataError: a sample is not the one that was asked.
        OSError: a file cannot be written.
    """
    photographs: dict[Path, tuple[str | None, tuple[int, int], str]] = {}
    for number, case in enumerate(cases, 1):
        sample = samples.get(case.id)
        if sample is not None:
            _check_same(case, sample)
        path = Path(case.picture) if sample is None else sample.picture
        if path not in photographs:
            photographs[path] = _photograph(path, folder, len(photographs) + 1)
        name, size, problem = photographs[path]
        answer = decode(masks[case.id]) if case.id in masks else None
        truth = None if sample is None else sample.mask()
        problems = [problem] if problem else []
        if truth is None:
            problems.append("the data set that was opened does not have this phrase, so its truth is not shown")
        if name is not None and answer is not None and size != (answer.shape[1], answer.shape[0]):
            problems.append(
                f"the picture is {size[0]} x {size[1]} now, the answer {answer.shape[1]} x {answer.shape[0]}"
            )
            name = None
        if answer is not None:
            size = answer.shape[1], answer.shape[0]
        drawn = _drawn(answer, truth, counts=case.found or not heeds_found)
        files = {kind: f"{number:04}-{kind}{SUFFIX}" for kind in drawn}
        for kind, image in drawn.items():
            layers.save_layer(image, folder / files[kind])
        yield Shown(case, path, layers.small_size(size), name, files, tuple(problems))


def _photograph(path: Path, folder: Path, number: int) -> tuple[str | None, tuple[int, int], str]:
    """Its file, its own (width, height), and what is wrong with it."""
    try:
        image = read_picture(path)
    except PictureError as error:
        return None, (layers.SIDE, layers.SIDE * 3 // 4), str(error)
    name = f"{number:04}{SUFFIX}"
    layers.save_photograph(layers.thumbnail(image), folder / name)
    return name, image.size, ""


def _drawn(answer: Bools | None, truth: Bools | None, counts: bool) -> dict[str, Image.Image]:
    drawn = {}
    if answer is not None:
        drawn["answer"] = layers.single(answer, layers.ANSWER)
    if truth is not None:
        drawn["truth"] = layers.single(truth, layers.TRUTH)
    if answer is not None and truth is not None:
        drawn["compared"] = layers.compared(answer if counts else np.zeros_like(answer), truth)
    return drawn


def _check_same(case: Case, sample: Sample) -> None:
    if str(sample.reference) != case.phrase or bool(len(sample.targets)) != case.present:
        raise DataError(
            f"sample {case.id}: the predictions are of {case.phrase!r}, the data set has {str(sample.reference)!r}; "
            "give the data that was asked with --data"
        )
