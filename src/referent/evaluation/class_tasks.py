"""A model asked with all class names of a data set: class maps, boxes and labels, scored."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from referent.asking import AnyLook, AnySegmenter
from referent.by_class import ClassMap, Detection, class_map, classify, detect
from referent.data.sample import Dataset, Sample
from referent.errors import DataError, ReferentError
from referent.evaluation.class_metrics import BoxCounts, LabelCounts, MapCounts, true_map
from referent.evaluation.environment import machine, versions
from referent.evaluation.metrics import REPLICATES, Interval
from referent.evaluation.progress import shown
from referent.evaluation.result import Bootstrap, Failure
from referent.files import atomic_write
from referent.segmentation import save_png

Task: TypeAlias = Literal["semantic", "detection", "classification"]
TASKS: tuple[Task, ...] = get_args(Task)
FORMAT = 2

_log = logging.getLogger("referent")


@dataclass(frozen=True)
class TaskScores:
    """What one task says.

    Attributes:
        pictures: that it counts.
        numbers: all in [0, 1], with intervals; `evaluation.class_metrics` defines them.
        by_class: class-mIoU, mAP or top-1 of each class.
    """

    pictures: int
    numbers: Mapping[str, Interval]
    by_class: Mapping[str, float]


@dataclass(frozen=True)
class ClassResult:
    """An evaluation by class.

    Attributes:
        model, weights_sha256, command, machine, versions: as in `Result`.
        dataset, split, limit: what was asked.
        classes: the names that were asked of every picture.
        pictures: that were answered.
        background: probability up to which a pixel is background.
        tasks: scores by task.
        bootstrap: how the intervals were made.
        failed: pictures left out.
        seconds: of this run.
    """

    model: str
    weights_sha256: str | None
    dataset: str
    split: str
    limit: int | None
    classes: tuple[str, ...]
    pictures: int
    background: float
    tasks: Mapping[str, TaskScores]
    bootstrap: Bootstrap
    failed: tuple[Failure, ...]
    seconds: float
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    command: str | None
    format: int = FORMAT

    def numbers(self) -> dict[str, float]:
        """Those of all tasks, without intervals; no two tasks share a name."""
        return {
            name: interval.value
            for scores in self.tasks.values()
            for name, interval in scores.numbers.items()
            if interval.value is not None
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def save(self, path: Path) -> None:
        """The result as JSON at `path`, all of it or nothing."""
        atomic_write(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")


def chosen(names: Sequence[str]) -> list[Task]:
    """Tasks by their names.

    Raises:
        DataError: there is no such task.
    """
    unknown = [name for name in names if name not in TASKS]
    if unknown:
        raise DataError(f"task: expected {', '.join(TASKS)}, found {', '.join(unknown)}")
    return [task for task in TASKS if task in names]


def possible_tasks(segmenter: AnySegmenter, dataset: Dataset) -> tuple[Task, ...]:
    """What can be asked: class maps and boxes where classes have masks, boxes of a model with a box head alone; labels
    where some picture shows exactly one of several classes."""
    boxes = bool(getattr(segmenter.model, "gives_boxes", False))
    single = len(dataset.classes) > 1 and any(_single(samples) for samples in _by_picture(dataset.samples))
    masks = not dataset.whole_pictures
    fits: dict[Task, bool] = {"semantic": masks, "detection": masks and boxes, "classification": single}
    return tuple(task for task in TASKS if fits[task])


def evaluate_classes(
    segmenter: AnySegmenter,
    dataset: Dataset,
    tasks: Sequence[Task] = (),
    *,
    background: float | None = None,
    draw: Path | None = None,
    limit: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
    weights_sha256: str | None = None,
    command: str | None = None,
    progress: bool = False,
) -> ClassResult:
    """Asks every class name of every picture and scores the answers.

    A picture that cannot be answered is left out of all numbers and named in `ClassResult.failed`.

    Args:
        segmenter: any system for class maps and labels; for boxes a model with a box head.
        dataset: class names (`data.loading.open_classes`).
        tasks: `possible_tasks` where there are none.
        background: probability up to which a pixel is background; the model's threshold when None.
        draw: every picture is written with its class map, as PNG, into this folder, made when missing.
        limit: only so many pictures, spread evenly, since those of a folder of classes stand class by class.
        replicates, seed: of the bootstrap over pictures; 0 replicates give no intervals.
        weights_sha256, command: kept in the result.
        progress: show a bar on standard error when that is a terminal.

    Raises:
        DataError: a data set that asks no class names, one on which none of the tasks can be scored, or every picture
            failed.
    """
    chosen = _scorable(segmenter, dataset, tasks)
    if limit is not None and limit < 1:
        raise DataError(f"limit: expected at least 1, found {limit}")
    if draw is not None:
        draw.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    counting = _Counting(segmenter, dataset.classes, chosen, background, draw)
    for number, samples in enumerate(shown(_spread(_by_picture(dataset.samples), limit), "pictures", progress)):
        counting.ask(number, samples)
    if not counting.answered:
        raise DataError(f"{dataset.name}: no picture could be answered; the first: {counting.failed[0].error}")
    return ClassResult(
        model=segmenter.name,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        split=", ".join(dict.fromkeys(sample.split for sample in dataset.samples)),
        limit=limit,
        classes=dataset.classes,
        pictures=counting.answered,
        background=segmenter.preparation.threshold if background is None else background,
        tasks=counting.scores(replicates, seed),
        bootstrap=Bootstrap(replicates, seed),
        failed=tuple(counting.failed),
        seconds=round(time.monotonic() - began, 3),
        machine=machine(segmenter.engine.device, segmenter.engine.dtype),
        versions=versions(),
        command=command,
    )


def _scorable(segmenter: AnySegmenter, dataset: Dataset, tasks: Sequence[Task]) -> tuple[Task, ...]:
    """The tasks, or all that can be scored where there are none."""
    if not dataset.classes:
        raise DataError(f"{dataset.name}: expected class names, found phrases")
    possible = possible_tasks(segmenter, dataset)
    impossible = [task for task in tasks if task not in possible]
    if impossible or not possible:
        raise DataError(
            f"{dataset.name}: {', '.join(impossible) or 'no task'} cannot be scored with {segmenter.name}; possible: "
            f"{', '.join(possible) or 'nothing'} (boxes need a box head, labels pictures of one class, maps masks)"
        )
    return tuple(tasks or possible)


@dataclass(frozen=True)
class _Answers:
    """Of one picture, to the tasks that were asked of it."""

    map: ClassMap | None
    boxes: list[Detection] | None
    labels: NDArray[np.float32] | None


class _Counting:
    """What the pictures so far say, by task.

    Attributes:
        answered: pictures that could be answered.
        failed: those that could not.
    """

    def __init__(
        self,
        segmenter: AnySegmenter,
        names: tuple[str, ...],
        tasks: tuple[Task, ...],
        background: float | None,
        draw: Path | None,
    ) -> None:
        self._segmenter, self._names, self._tasks, self._background = segmenter, names, tasks, background
        self._draw = draw
        self._maps, self._boxes, self._labels = MapCounts(names), BoxCounts(names), LabelCounts(names)
        self._pictures = dict.fromkeys(tasks, 0)
        self.answered = 0
        self.failed: list[Failure] = []

    def ask(self, number: int, samples: Sequence[Sample]) -> None:
        """All class names of one picture; a failure is kept, not raised."""
        picture = samples[0].picture
        try:
            answers = self._answers(self._segmenter.look_at(picture), samples)
            truth = true_map(samples) if "semantic" in self._tasks else None
        except Exception as error:  # One picture must not cost the run, whatever is wrong with it.
            known = isinstance(error, ReferentError)
            if not known:
                _log.warning("%s: left out: %s", picture, error, exc_info=True)
            reason = str(error) if known else f"{type(error).__name__}: {error}"
            self.failed.append(Failure(str(picture), len(samples), reason))
            return
        self.answered += 1
        if answers.map is not None and self._draw is not None:
            save_png(answers.map.overlay(), self._draw / f"{number:05d}-{picture.stem}.png")
        if answers.map is not None and truth is not None:
            self._maps.add(truth, answers.map.labels)
            self._pictures["semantic"] += 1
        if answers.boxes is not None:
            self._boxes.add(samples, answers.boxes)
            self._pictures["detection"] += 1
        single = _single(samples)
        if answers.labels is not None and single is not None:
            self._labels.add(single, answers.labels)
            self._pictures["classification"] += 1

    def _answers(self, look: AnyLook, samples: Sequence[Sample]) -> _Answers:
        size = look.pictures[0].height, look.pictures[0].width
        if size != samples[0].size:
            raise DataError(
                f"{samples[0].picture}: the data set says {samples[0].size[1]} x {samples[0].size[0]}, the picture is "
                f"{size[1]} x {size[0]}"
            )
        mapped = "semantic" in self._tasks or self._draw is not None
        labelled = "classification" in self._tasks and _single(samples) is not None
        return _Answers(
            map=class_map(look, self._names, self._background) if mapped else None,
            boxes=detect(look, self._names) if "detection" in self._tasks else None,
            labels=classify(look, self._names) if labelled else None,
        )

    def scores(self, replicates: int, seed: int) -> dict[str, TaskScores]:
        """Of all tasks."""
        counts: dict[Task, MapCounts | BoxCounts | LabelCounts] = {
            "semantic": self._maps,
            "detection": self._boxes,
            "classification": self._labels,
        }
        return {
            task: TaskScores(self._pictures[task], counts[task].intervals(replicates, seed), counts[task].by_class())
            for task in self._tasks
        }


def _by_picture(samples: Sequence[Sample]) -> list[list[Sample]]:
    return [list(group) for _, group in groupby(samples, key=lambda sample: sample.picture)]


def _spread(pictures: Sequence[Sequence[Sample]], limit: int | None) -> list[Sequence[Sample]]:
    count = min(limit or len(pictures), len(pictures))
    return [pictures[index * len(pictures) // count] for index in range(count)]


def _single(samples: Sequence[Sample]) -> str | None:
    """The one class that a picture shows, None where it shows several or nothing."""
    true = [sample.tags["name"] for sample in samples if sample.targets]
    return true[0] if len(true) == 1 else None
