"""Scores during training, by the same code that scores finished models."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from referent.data.sample import Dataset
from referent.errors import RecipeError
from referent.models.base import SegmentationModel
from referent.training.gallery import Example, gallery
from referent.training.randomness import untouched_randomness

if TYPE_CHECKING:
    from PIL import Image

    from referent.preparation import Preparation
    from referent.segmenter import Segmenter

SHOWN = 8


class Evaluate(Protocol):
    """Scores of a segmenter on a data set; `referent.evaluation` on the command line, anything in a test."""

    def __call__(self, segmenter: Segmenter, dataset: Dataset) -> Mapping[str, float]:
        """Scores by name, larger is better for the one a recipe selects by."""


@dataclass(frozen=True)
class Verdict:
    """Result of one validation.

    Attributes:
        scores: by data set and name.
        selected: the mean over the data sets of the score that the recipe selects by.
        picture: some answers, side by side with their targets.
    """

    scores: dict[str, dict[str, float]]
    selected: float
    picture: Image.Image


def validate(
    model: SegmentationModel,
    preparation: Preparation,
    name: str,
    device: torch.device,
    datasets: Sequence[Dataset],
    evaluate: Evaluate,
    select: str,
    presence_threshold: float,
) -> Verdict:
    """Scores of the model as it is now; the model and every random generator stay as they are.

    Args:
        model: the one in training; a copy is evaluated, since a segmenter may fuse layers of its own.
        preparation: pictures and phrases to tensors and back.
        name: of the model, in results.
        device: where to run.
        datasets: at least one.
        evaluate: scores one data set.
        select: the score that decides what is best.
        presence_threshold: from which score on something counts as found.

    Raises:
        RecipeError: `evaluate` gives no such score.
    """
    from referent.segmenter import Segmenter

    with untouched_randomness(), torch.no_grad():
        # A training shows every picture to another model, so nothing is worth keeping between them.
        segmenter = Segmenter(
            copy.deepcopy(model).eval(),
            preparation,
            name=name,
            device=device,
            presence_threshold=presence_threshold,
            cache_bytes=0,
        )
        scores = {dataset.name: dict(evaluate(segmenter, dataset)) for dataset in datasets}
        for dataset, found in scores.items():
            if select not in found:
                raise RecipeError(f"select: {dataset} has no score {select!r}; there are: {', '.join(found)}")
        selected = sum(found[select] for found in scores.values()) / len(scores)
        return Verdict(scores, selected, show(segmenter, datasets))


def show(segmenter: Segmenter, datasets: Sequence[Dataset]) -> Image.Image:
    """The same few samples at every validation, spread evenly over the data sets; none of detection."""
    every = [sample for dataset in datasets for sample in dataset.samples if not sample.labels]
    count = min(SHOWN, len(every))
    chosen = [every[index * len(every) // count] for index in range(count)]
    examples = []
    for sample, answer in segmenter.predict(chosen):
        prediction = answer.mask if answer.found else answer.mask & False
        examples.append(Example(answer.picture, sample.mask(), prediction, str(sample.reference), answer.score))
    return gallery(examples)
