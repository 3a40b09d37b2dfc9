"""The learning rate as a pure function of the step: nothing to save, nothing to replay."""

from __future__ import annotations

import math

from referent.training.recipe import Cosine, MultiStep, Polynomial, Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int, total: int, lr_scale: float) -> float:
    """The rate of one parameter group.

    Args:
        recipe: base rate and schedule.
        step: the step about to be taken, counted from 0.
        steps_per_epoch: steps of an epoch.
        total: steps of the training.
        lr_scale: the group's own factor.
    """
    base = recipe.optimiser.lr
    match recipe.schedule:
        case MultiStep(milestones=milestones, gamma=gamma, first_epoch=first_epoch):
            epoch = step // steps_per_epoch
            if first_epoch == "published" and epoch == 0:
                return base
            position = epoch if recipe.epochs is not None else step
            return base * lr_scale * gamma ** sum(position >= milestone for milestone in milestones)
        case Cosine(warmup=warmup, floor=floor):
            if step < warmup:
                return base * lr_scale * (step + 1) / warmup
            share = (step - warmup) / max(1, total - warmup)
            return base * lr_scale * (floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2)
        case Polynomial(power=power):
            return base * lr_scale * float((1 - step / total) ** power)
    raise AssertionError(recipe.schedule)
