"""A moving average of the weights, which is steadier than the weights themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose `update_parameters(model)` moves it towards the model; buffers are copied.

    The first steps forget faster, so that the random beginning does not linger: the decay of step t is
    min(decay, (1 + t) / (10 + t)), as in TensorFlow's ExponentialMovingAverage.
    """
    return AveragedModel(model, multi_avg_fn=_moving_average(decay))


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    @torch.no_grad()
    def update(average: Tensors, current: Tensors, count: Tensor | int) -> None:
        steps = float(count)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + steps) / (10 + steps)))

    return update
