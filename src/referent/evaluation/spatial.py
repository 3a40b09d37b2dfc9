"""Whether a model of pictures and texts understands spatial relations: ReCLIP's experiment, on made scenes.

A question counts as right when the fitting picture and text score strictly higher than the others, so that chance is
50 %. Asked as ReCLIP asks: "a photo of" before every text, the whole picture squeezed to the model's square.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.scenes.pairs import TASKS, PairExample, Question, Task
from referent.errors import DataError
from referent.evaluation.metrics import REPLICATES, Bools, Interval, ratios
from referent.files import atomic_write
from referent.grounding.features import ProposalEncoder
from referent.grounding.scoring import ProposalScorer

Matcher = Callable[[Image.Image], Callable[[str], float]]
"""From a picture to what scores texts about it: higher fits better."""
FORMAT = 1


@dataclass(frozen=True)
class Share:
    """How many of so many questions were answered right; the interval is a bootstrap over types of scenes."""

    questions: int
    right: Interval


@dataclass(frozen=True)
class TaskShares:
    """One task: all its questions, and those of each relation where relations decide."""

    overall: Share
    relations: Mapping[str, Share]


@dataclass(frozen=True)
class SpatialResult:
    """The experiment.

    Attributes:
        models: by name of the model and by task.
        examples: types of scenes.
        seed: of the scenes.
        size: (height, width) of the pictures.
        machine, versions: where and with what it ran.
        command: that made it; None when it was made from Python.
    """

    models: Mapping[str, Mapping[Task, TaskShares]]
    examples: int
    seed: int
    size: tuple[int, int]
    machine: Mapping[str, str | int]
    versions: Mapping[str, str]
    command: str | None = None
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def save(self, path: Path) -> None:
        """The result as JSON at `path`, all of it or nothing.

        Raises:
            OSError: the folder is missing, not writable or full.
        """
        atomic_write(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")


def whole_picture(encoder: ProposalEncoder) -> Matcher:
    """ReCLIP's own scoring of one proposal, the whole picture.

    Args:
        encoder: of crops.
    """
    scorer = ProposalScorer(encoder)

    def look_at(picture: Image.Image) -> Callable[[str], float]:
        scores = scorer.look_at(picture, np.array([[0.0, 0.0, picture.width, picture.height]]))
        return lambda text: float(scores(text)[0])

    return look_at


def spatial_shares(
    models: Mapping[str, Matcher],
    examples: Iterable[PairExample],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, dict[Task, TaskShares]]:
    """By model and task the share of questions answered right.

    Args:
        models: by name; each looks at every picture once.
        examples: taken one at a time, so that their pictures need not fit in memory together.
        replicates, seed: of the bootstrap over examples.

    Raises:
        DataError: no examples.
    """
    right: dict[str, list[list[bool]]] = {name: [] for name in models}
    asked: list[tuple[Question, ...]] = []
    for example in examples:
        pictures = [Image.fromarray(picture) for picture in example.pictures]
        asked.append(example.questions)
        for name, model in models.items():
            right[name].append(_answers([model(picture) for picture in pictures], example.questions))
    if not asked:
        raise DataError("examples: expected at least one, found none")
    relations = np.array([[question.relation or "" for question in questions] for questions in asked])
    return {
        name: {
            task: _task_shares(np.array(table)[:, column], relations[:, column], replicates, seed)
            for column, task in enumerate(TASKS)
        }
        for name, table in right.items()
    }


def _answers(looks: Sequence[Callable[[str], float]], questions: Sequence[Question]) -> list[bool]:
    def score(place: tuple[int, str]) -> float:
        return looks[place[0]](place[1])

    return [score(question.right) > score(question.wrong) for question in questions]


def _task_shares(right: Bools, relations: NDArray[np.str_], replicates: int, seed: int) -> TaskShares:
    def share(rows: Bools) -> Share:
        above = (right & rows)[:, None].astype(float)
        (drawn,) = ratios(above, rows[:, None].astype(float), np.arange(len(right)), replicates, seed)
        return Share(int(rows.sum()), drawn.interval())

    kinds = [str(relation) for relation in np.unique(relations) if relation]
    return TaskShares(share(np.ones_like(right)), {relation: share(relations == relation) for relation in kinds})
