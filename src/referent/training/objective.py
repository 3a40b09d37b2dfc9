"""One forward pass of a training: the model, its losses and the auxiliary ones, weighed into one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from referent.errors import RecipeError
from referent.models.base import Batch, Output, SegmentationModel
from referent.training.auxiliary import Auxiliary
from referent.training.order import AUXILIARY_STREAM

TOTAL = "total"


class Objective(nn.Module):
    """What is differentiated. All of it is one module, so that gradients of every part are averaged over processes.

    Args:
        model: the model.
        auxiliaries: further objectives.
        weights: of the named losses.
        bf16: run the model and the auxiliary objectives under autocast; the model's losses are always float32.
        seed: of the auxiliary objectives' generators.
    """

    def __init__(
        self,
        model: SegmentationModel,
        auxiliaries: Sequence[Auxiliary],
        weights: Mapping[str, float],
        bf16: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.auxiliaries = list(auxiliaries)
        # Registered a second time so that their parameters are found.
        self.modules_of_auxiliaries = nn.ModuleList(item for item in auxiliaries if isinstance(item, nn.Module))
        self.weights, self.bf16, self.seed = dict(weights), bf16, seed

    def forward(self, batch: Batch, step: int, part: int) -> dict[str, Tensor]:
        """Unweighted losses by name, each a scalar mean over the batch's N references, and their weighted sum "total".

        Args:
            batch: with `target`.
            step: steps done before this one.
            part: which of the step's batches this is, over all processes.

        Raises:
            RecipeError: the recipe weighs a loss that nothing computes.
        """
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.model(batch)
        losses = self.model.losses(batch, as_float32(output))
        if self.auxiliaries:
            generator = torch.Generator()
            for number, auxiliary in enumerate(self.auxiliaries):
                words = np.random.SeedSequence((AUXILIARY_STREAM, self.seed, step, part, number))
                generator.manual_seed(int(words.generate_state(1, np.uint64)[0]))
                with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=self.bf16):
                    losses |= auxiliary.losses(self.model, step, generator)
        unknown = self.weights.keys() - losses.keys()
        if unknown:
            raise RecipeError(f"loss: nothing computes {', '.join(sorted(unknown))}; there are: {', '.join(losses)}")
        weighed = [weight * losses[name].float() for name, weight in self.weights.items()]
        return {**losses, TOTAL: torch.stack(weighed).sum()}


def as_float32(output: Output) -> Output:
    """The same output with every floating-point tensor in float32."""
    converted: Output = _converted(output)
    return converted


def _converted(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _converted(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _converted(getattr(value, field.name)) for field in fields(value)})
    return value
