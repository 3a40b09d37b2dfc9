"""Objectives beside the batch's own losses: things the model should also learn, from data of their own.

An objective is an object with `losses`. A recipe names it by its `kind`; its other settings are keyword arguments:

    auxiliary:
      - {kind: text-vectors, path: vectors.safetensors}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from referent.errors import RecipeError
from referent.models.base import SegmentationModel
from referent.training.class_maps import ClassMaps
from referent.training.text_vectors import TextVectors


class Auxiliary(Protocol):
    """A further objective. One that is an `nn.Module` has its parameters trained, saved and resumed with the model."""

    def losses(self, model: SegmentationModel, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Named scalar losses, unweighted; the recipe's `loss` holds the weights.

        Args:
            model: the model in training mode; its parameters say the device.
            step: steps done before this one.
            generator: on the CPU, seeded for this step, process and accumulation pass: draw everything from it and
                resuming needs nothing else.
        """


OBJECTIVES: dict[str, Callable[..., Auxiliary]] = {"class-maps": ClassMaps, "text-vectors": TextVectors}


def build_auxiliary(settings: list[dict[str, Any]]) -> list[Auxiliary]:
    """The objectives of a recipe's `auxiliary` list.

    Raises:
        RecipeError: an unknown kind, or settings that it does not take.
    """
    built: list[Auxiliary] = []
    for entry in settings:
        options = {key: value for key, value in entry.items() if key != "kind"}
        kind = entry["kind"]
        if kind not in OBJECTIVES:
            known = ", ".join(sorted(OBJECTIVES)) or "none"
            raise RecipeError(f"auxiliary: unknown kind {kind!r}; known: {known}")
        try:
            built.append(OBJECTIVES[kind](**options))
        except TypeError as error:
            raise RecipeError(f"auxiliary {kind}: {error}") from error
    return built
