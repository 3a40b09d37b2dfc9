from __future__ import annotations

import pytest
import torch
from torch import nn
from training_tiny import Tiny, TinyConfig

from referent.errors import RecipeError
from referent.training.optimiser import build_optimiser, clip_gradients, freeze, parameter_groups, training_mode
from referent.training.recipe import Optimiser


def model(batch_norm: bool = False) -> Tiny:
    return Tiny(TinyConfig(batch_norm=batch_norm))


def test_every_trainable_parameter_is_in_the_first_group_that_matches() -> None:
    tiny = model()
    freeze(tiny, ["unused"])
    settings = Optimiser.model_validate(
        {
            "lr": 1,
            "weight_decay": 0.1,
            "groups": [{"match": "^backbone", "lr_scale": 0.1}, {"match": "bias$", "weight_decay": 0}],
        }
    )
    found = {group.match: [name for name, _ in group.parameters] for group in parameter_groups(tiny, settings)}
    assert found == {
        "^backbone": ["backbone.weight", "backbone.bias"],
        "bias$": ["head.bias"],
        "(rest)": ["head.weight", "words.weight"],
    }
    assert [group.weight_decay for group in parameter_groups(tiny, settings)] == [0.1, 0, 0.1]


def test_a_pattern_that_finds_nothing_is_an_error_with_a_name_like_it() -> None:
    with pytest.raises(RecipeError, match=r"optimiser\.groups.*'backbon\.w'.*'backbone\.weight'"):
        parameter_groups(model(), Optimiser.model_validate({"lr": 1, "groups": [{"match": "backbon.w"}]}))
    with pytest.raises(RecipeError, match=r"optimiser\.frozen"):
        freeze(model(), ["decoder"])


def test_freezing_everything_is_an_error() -> None:
    tiny = model()
    freeze(tiny, [""])
    with pytest.raises(RecipeError, match="nothing to train"):
        parameter_groups(tiny, Optimiser(lr=1))


def test_frozen_batch_normalisation_keeps_its_statistics() -> None:
    tiny = model(batch_norm=True)
    training_mode(tiny)
    assert tiny.norm.training
    freeze(tiny, ["^norm"])
    training_mode(tiny)
    assert not tiny.norm.training
    assert tiny.head.training


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_fused_step_equals_the_plain_one_in_any_memory_format(kind: str) -> None:
    torch.manual_seed(0)
    ours = nn.Conv2d(6, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain = nn.Conv2d(6, 4, 3)
    plain.load_state_dict(ours.state_dict())
    settings = Optimiser.model_validate({"kind": kind, "lr": 0.01, "weight_decay": 0.1})
    fused = build_optimiser(parameter_groups(ours, settings), settings)
    reference = (torch.optim.Adam if kind == "adam" else torch.optim.AdamW)(
        plain.parameters(), lr=0.01, weight_decay=0.1, fused=False, foreach=False
    )
    image = torch.randn(2, 6, 8, 8)
    for _ in range(5):
        for network, optimiser in ((ours, fused), (plain, reference)):
            optimiser.zero_grad()
            network(image).square().mean().backward()
            optimiser.step()
    assert torch.allclose(ours.weight, plain.weight, atol=1e-6)


def test_clipping_bounds_the_whole_norm_and_zero_leaves_it() -> None:
    layer = nn.Linear(3, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0, 0.0]])
    assert clip_gradients(layer, 0) == 5
    assert layer.weight.grad.norm() == 5
    assert clip_gradients(layer, 1) == 5
    assert layer.weight.grad.norm() == pytest.approx(1, abs=1e-5)
