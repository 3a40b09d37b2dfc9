"""A model asked with all class names of a data set: class maps, boxes and labels, scored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from referent.asking import AnyLook, AnySegmenter
from referent.by_class import class_map, classify, detect
from referent.data.sample import Dataset, Sample
from referent.errors import DataError, PictureError
from referent.evaluation.class_metrics import BoxCounts, LabelCounts, MapCounts, true_map
from referent.evaluation.environment import machine, versions
from referent.evaluation.result import Failure
from referent.files import atomic_write
from referent.segmentation import save_png

Task: TypeAlias = Literal["semantic", "detection", "classification"]
TASKS: tuple[Task, ...] = get_args(Task)
FORMAT = 1


@dataclass(frozen=True)
class TaskScores:
    """What one task says.

    Attributes:
        pictures: that it counts.
        numbers: all in [0, 1]; `evaluation.class_metrics` defines them.
        by_class: class-mIoU, mAP or top-1 of each class.
    """

    pictures: int
    numbers: Mapping[str, float]
    by_class: Mapping[str, float]


@dataclass(frozen=True)
class ClassResult:
    """An evaluation by class.

    Attributes:
        model, weights_sha256, command, machine, versions: as in `Result`.
        dataset, split: what was asked.
        classes: the names that were asked of every picture.
        pictures: that were answered.
        background: probability up to which a pixel is background.
        tasks: scores by task.
        failed: pictures left out.
        seconds: of this run.
    """

    model: str
    weights_sha256: str | None
    dataset: str
    split: str
    classes: tuple[str, ...]
    pictures: int
    background: float
    tasks: Mapping[str, TaskScores]
    failed: tuple[Failure, ...]
    seconds: float
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    command: str | None
    format: int = FORMAT

    def numbers(self) -> dict[str, float]:
        """Those of all tasks; no two tasks share a name."""
        return {name: value for scores in self.tasks.values() for name, value in scores.numbers.items()}

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
    weights_sha256: str | None = None,
    command: str | None = None,
) -> ClassResult:
    """Asks every class name of every picture and scores the answers.

    Args:
        segmenter: any system for class maps and labels; for boxes a model with a box head.
        dataset: class names (`data.loading.open_classes`).
        tasks: `possible_tasks` where there are none.
        background: probability up to which a pixel is background; the model's threshold when None.
        weights_sha256, command: kept in the result.

    Raises:
        DataError: a data set that asks no class names, or one on which none of the tasks can be scored.
    """
    if not dataset.classes:
        raise DataError(f"{dataset.name}: expected class names, found phrases")
    possible = possible_tasks(segmenter, dataset)
    impossible = [task for task in tasks if task not in possible]
    if impossible or not possible:
        raise DataError(
            f"{dataset.name}: {', '.join(impossible) or 'no task'} cannot be scored with {segmenter.name}; possible: "
            f"{', '.join(possible) or 'nothing'} (boxes need a box head, labels pictures of one class, maps masks)"
        )
    began = time.monotonic()
    counting = _Counting(dataset.classes, tuple(tasks or possible), background)
    failed = []
    answered = 0
    for samples in _by_picture(dataset.samples):
        try:
            look = segmenter.look_at(samples[0].picture)
        except PictureError as error:
            failed.append(Failure(str(samples[0].picture), len(samples), str(error)))
            continue
        counting.add(look, samples)
        answered += 1
    threshold = segmenter.preparation.threshold if background is None else background
    return ClassResult(
        model=segmenter.name,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        split=", ".join(dict.fromkeys(sample.split for sample in dataset.samples)),
        classes=dataset.classes,
        pictures=answered,
        background=threshold,
        tasks=counting.scores(),
        failed=tuple(failed),
        seconds=round(time.monotonic() - began, 3),
        machine=machine(segmenter.engine.device, segmenter.engine.dtype),
        versions=versions(),
        command=command,
    )


def draw_maps(segmenter: AnySegmenter, dataset: Dataset, folder: Path, background: float | None = None) -> None:
    """Every picture of a class-name data set with its class map, as PNG in `folder`, made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, samples in enumerate(_by_picture(dataset.samples)):
        picture = samples[0].picture
        answer = class_map(segmenter.look_at(picture), dataset.classes, background)
        save_png(answer.overlay(), folder / f"{number:05d}-{picture.stem}.png")


class _Counting:
    """What the pictures so far say, by task."""

    def __init__(self, names: tuple[str, ...], tasks: tuple[Task, ...], background: float | None) -> None:
        self.names, self.tasks, self.background = names, tasks, background
        self.maps, self.boxes, self.labels = MapCounts(names), BoxCounts(names), LabelCounts(names)
        self.pictures = dict.fromkeys(tasks, 0)

    def add(self, look: AnyLook, samples: Sequence[Sample]) -> None:
        single = _single(samples)
        if "semantic" in self.tasks:
            self.maps.add(true_map(samples), class_map(look, self.names, self.background).labels)
            self.pictures["semantic"] += 1
        if "detection" in self.tasks:
            self.boxes.add(samples, detect(look, self.names))
            self.pictures["detection"] += 1
        if "classification" in self.tasks and single is not None:
            self.labels.add(single, classify(look, self.names))
            self.pictures["classification"] += 1

    def scores(self) -> dict[str, TaskScores]:
        counts: dict[Task, MapCounts | BoxCounts | LabelCounts] = {
            "semantic": self.maps,
            "detection": self.boxes,
            "classification": self.labels,
        }
        return {
            task: TaskScores(self.pictures[task], counts[task].numbers(), counts[task].by_class())
            for task in self.tasks
        }


def _by_picture(samples: Sequence[Sample]) -> list[list[Sample]]:
    return [list(group) for _, group in groupby(samples, key=lambda sample: sample.picture)]


def _single(samples: Sequence[Sample]) -> str | None:
    """The one class that a picture shows, None where it shows several or nothing."""
    true = [sample.tags["name"] for sample in samples if sample.targets]
    return true[0] if len(true) == 1 else None
