"""The weights a training starts from."""

from __future__ import annotations

from referent.models.base import SegmentationModel
from referent.training.recipe import Start


def start_from(model: SegmentationModel, start: Start) -> None:
    """Fills `model` from the files that a recipe names, the whole first and then its parts.

    Raises:
        WeightsError: a file that cannot be used, or that is of another model.
        RecipeError: the model has no such part.
    """
