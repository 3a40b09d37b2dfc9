"""Which parameters move, and how fast."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from referent.errors import RecipeError
from referent.models.base import SegmentationModel
from referent.training.recipe import Group, Optimiser


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate.

    Attributes:
        match: the recipe's regular expression, or "(rest)".
        lr_scale: factor on the base rate.
        weight_decay: of this group.
        parameters: names and tensors, in the model's order.
    """

    match: str
    lr_scale: float
    weight_decay: float
    parameters: tuple[tuple[str, nn.Parameter], ...]

    @property
    def size(self) -> int:
        """Numbers in all tensors of the group."""
        return sum(parameter.numel() for _, parameter in self.parameters)


def freeze(model: nn.Module, patterns: Iterable[str]) -> None:
    """Stops training the parameters whose name one of `patterns` finds.

    Raises:
        RecipeError: a pattern that finds none.
    """
    for pattern in patterns:
        found = [parameter for name, parameter in model.named_parameters() if re.search(pattern, name)]
        if not found:
            raise _finds_nothing("optimiser.frozen", pattern, model)
        for parameter in found:
            parameter.requires_grad_(False)


def training_mode(model: nn.Module) -> None:
    """Training mode, except for frozen batch normalisation: its statistics belong to its weights.

    They go on changing where the model wants that (`SegmentationModel.drifting_statistics`).
    """
    model.train()
    if any(isinstance(module, SegmentationModel) and module.drifting_statistics for module in model.modules()):
        return
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            own = list(module.parameters())
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()


def parameter_groups(model: nn.Module, optimiser: Optimiser) -> list[ParameterGroup]:
    """Trainable parameters in the recipe's groups, the rest last; every parameter in exactly one.

    Raises:
        RecipeError: a group whose `match` finds no trainable parameter, or nothing to train at all.
    """
    left = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not left:
        raise RecipeError("optimiser.frozen: every parameter is frozen, there is nothing to train")
    groups: list[ParameterGroup] = []
    for group in [*optimiser.groups, Group(match="")]:
        taken = [item for item in left if re.search(group.match, item[0])]
        left = [item for item in left if not re.search(group.match, item[0])]
        decay = optimiser.weight_decay if group.weight_decay is None else group.weight_decay
        if taken:
            groups.append(ParameterGroup(group.match or "(rest)", group.lr_scale, decay, tuple(taken)))
        elif group.match:
            raise _finds_nothing("optimiser.groups", group.match, model)
    return groups


def build_optimiser(groups: list[ParameterGroup], settings: Optimiser) -> Optimizer:
    """Adam or AdamW over `groups`, each entry with its `lr_scale`; the rate itself is set before every step."""
    entries = [
        {
            "params": [parameter for _, parameter in group.parameters],
            "weight_decay": group.weight_decay,
            "lr_scale": group.lr_scale,
        }
        for group in groups
    ]
    kind = Adam if settings.kind == "adam" else AdamW
    # The fused step is one pass over memory; on a CPU the plain one costs as much as a tenth of a small model's step.
    return kind(entries, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def clip_gradients(model: nn.Module, limit: float) -> float:
    """Norm of the whole gradient, which is scaled down to `limit` where it is longer (0: never)."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if limit > 0:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), limit, norm)
    return float(norm)


def _finds_nothing(key: str, pattern: str, model: nn.Module) -> RecipeError:
    names = [name for name, _ in model.named_parameters()]
    near = difflib.get_close_matches(pattern.strip("^$"), names, n=1, cutoff=0.0)
    return RecipeError(f"{key}: {pattern!r} finds no trainable parameter; names look like {near[0] if near else '?'!r}")
