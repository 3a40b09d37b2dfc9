from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from training_tiny import recipe

from referent.training.recipe import Recipe, load_recipe
from referent.training.schedule import learning_rate


def rates(scale: float, total: int, per_epoch: int, **changes: Any) -> list[float]:
    settings = Recipe.model_validate(recipe(Path("data"), Path("out"), **changes))
    return [learning_rate(settings, step, per_epoch, total, scale) for step in range(total)]


@pytest.mark.parametrize(
    ("choice", "first"),
    [("published", (1e-4, 1e-4)), ("intended", (1e-5, 1e-4))],
)
def test_the_published_cris_rates_with_and_without_the_quirk_of_epoch_1(
    choice: str, first: tuple[float, float]
) -> None:
    settings = load_recipe("cris-r50-refcoco", [f"schedule.first_epoch={choice}"])
    backbone, head = (
        [learning_rate(settings, epoch * 662 + 5, 662, 50 * 662, scale) for epoch in range(50)] for scale in (0.1, 1.0)
    )
    assert (backbone[0], head[0]) == pytest.approx(first)
    assert backbone[1:] == pytest.approx([1e-5] * 34 + [1e-6] * 15)
    assert head[1:] == pytest.approx([1e-4] * 34 + [1e-5] * 15)


def test_milestones_count_steps_where_the_recipe_does() -> None:
    found = rates(1.0, 6, 2, schedule={"kind": "multistep", "milestones": [2, 4], "gamma": 0.5}, optimiser__lr=8.0)
    assert found == [8, 8, 4, 4, 2, 2]


def test_cosine_warms_up_and_falls_to_its_floor() -> None:
    schedule = {"kind": "cosine", "warmup": 4, "floor": 0.1}
    found = rates(0.5, 104, 10, schedule=schedule, optimiser__lr=2.0)
    assert found[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert found[54] == pytest.approx(0.55)
    assert found[-1] == pytest.approx(0.1, abs=1e-3)
    assert found[4:] == sorted(found[4:], reverse=True)


def test_polynomial_falls_to_nearly_nothing() -> None:
    found = rates(0.5, 10, 5, schedule={"kind": "polynomial"}, optimiser__lr=2.0)
    assert found == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])
