"""The picture files of a page: one photograph a picture, three layers a phrase."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from referent.data.sample import Sample
from referent.drawing import in_rows
from referent.errors import DataError, PictureError, ReferentError
from referent.evaluation.look import layers
from referent.evaluation.look.cases import Case
from referent.picture import read_picture
from referent.reference import Example
from referent.rle import RLE, decode
from referent.segmentation import drawn_example

FOLDER = "pictures"
SUFFIX = ".webp"
EXAMPLES_HEIGHT = 240
"""Pixels of the picture with all examples of a question."""
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """A case with its files.

    Attributes:
        case: see there.
        picture: the path that was tried.
        size: (width, height) of the files in pixels.
        photograph: name of its file in `FOLDER`; None where the picture cannot be read.
        examples: name of the file with the examples that were shown; None where a phrase alone was asked, or an example
            cannot be read.
        layers: names of the files of "answer" and, where the truth is known, "truth" and "compared".
        problems: why something is missing, a sentence each.
    """

    case: Case
    picture: Path
    size: tuple[int, int]
    photograph: str | None
    examples: str | None
    layers: Mapping[str, str]
    problems: tuple[str, ...]


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
        DataError: a sample is not the one that was asked, or a mask is broken.
        OSError: a file cannot be written.
    """
    photographs: dict[Path, _Photograph] = {}
    for number, case in enumerate(cases, 1):
        sample, answer = samples.get(case.id), _decoded(case, masks[case.id])
        path = Path(case.picture) if sample is None else sample.picture
        if path not in photographs:
            photographs[path] = _photograph(path, folder, len(photographs) + 1)
        height, width = answer.shape
        photograph = photographs[path].beside(width, height)
        problems = [photograph.problem] if photograph.problem else []
        drawn = {"answer": layers.single(answer, layers.ANSWER)}
        if sample is None:
            problems.append("the data set that was opened does not have this phrase, so its truth is not shown")
        else:
            _check_same(case, answer, sample)
            truth = sample.mask()
            counted = answer & sample.judged() if case.found or not heeds_found else np.zeros_like(answer)
            drawn |= {"truth": layers.single(truth, layers.TRUTH), "compared": layers.compared(counted, truth)}
        examples = None
        if sample is not None and sample.reference.examples:
            examples = _examples(sample.reference.examples, folder, number)
            problems += [] if examples else ["an example cannot be read"]
        files = {kind: f"{number:04}-{kind}{SUFFIX}" for kind in drawn}
        for kind, image in drawn.items():
            layers.save_layer(image, folder / files[kind])
        size = layers.small_size((width, height))
        yield Shown(case, path, size, photograph.name, examples, files, tuple(problems))


@dataclass(frozen=True)
class _Photograph:
    """A picture on the page: its file, its own (width, height), or else what is wrong with it."""

    name: str | None
    size: tuple[int, int] | None
    problem: str = ""

    def beside(self, width: int, height: int) -> _Photograph:
        """The same, or none where masks of that size would not lie right on it."""
        if self.size in (None, (width, height)):
            return self
        return _Photograph(None, None, f"the picture is now of size {self.size}, the answer of {(width, height)}")


def _photograph(path: Path, folder: Path, number: int) -> _Photograph:
    try:
        image = read_picture(path)
    except PictureError as error:
        return _Photograph(None, None, str(error))
    name = f"{number:04}{SUFFIX}"
    layers.save_photograph(layers.thumbnail(image), folder / name)
    return _Photograph(name, image.size)


def _examples(examples: Sequence[Example], folder: Path, number: int) -> str | None:
    """The file with all of them; None where one cannot be read."""
    try:
        drawn = [drawn_example(example) for example in examples]
    except ReferentError:
        return None
    name = f"{number:04}-examples{SUFFIX}"
    layers.save_photograph(in_rows(drawn, EXAMPLES_HEIGHT), folder / name)
    return name


def _decoded(case: Case, rle: RLE) -> Bools:
    try:
        return decode(rle)
    except ValueError as error:
        raise DataError(f"sample {case.id}: the mask in the predictions is broken: {error}") from error


def _check_same(case: Case, answer: Bools, sample: Sample) -> None:
    if str(sample.reference) != case.phrase or bool(len(sample.targets)) != case.present:
        raise DataError(
            f"sample {case.id}: the predictions are of {case.phrase!r}, the data set has {str(sample.reference)!r}; "
            "give the data that was asked with --data"
        )
    if answer.shape != sample.size:
        raise DataError(f"sample {case.id}: the answer has size {answer.shape}, the data set's picture {sample.size}")
