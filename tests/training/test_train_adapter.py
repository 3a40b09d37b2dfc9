"""A training of ETRIS that starts from a CLIP and writes an adapter of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from training_tiny import evaluate, recipe

import referent as rf
from referent import weights
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.keymap import to_theirs
from referent.errors import RecipeError
from referent.models.etris import ETRIS, ETRISConfig
from referent.training import loop
from referent.training.plan import make_plan
from referent.training.recipe import Recipe

CONFIG: dict[str, Any] = {
    "image": {"kind": "clip-resnet", "blocks": [1, 1, 1, 1], "width": 4, "embed": 16, "grid": 2},
    "text": {"width": 64, "layers": 3, "heads": 1, "context": 12, "embed": 16},
    "bridger": {"places": [[1, 1], [2, 2], [3, 3]], "width": 8, "heads": 2, "feedforward": 12},
    "neck": {"width": 16, "heads": 2},
    "decoder": {"layers": 1, "heads": 2, "feedforward": 16},
    "projector": {"hidden": 8, "width": 8},
}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A tiny CLIP under OpenAI's names."""
    torch.manual_seed(3)
    config = ETRISConfig.model_validate(CONFIG)
    model = ETRIS(config)
    assert not isinstance(config.image, str)
    state = to_theirs(model.image_encoder.state_dict(), image_rows(config.image))  # type: ignore[arg-type]
    state |= to_theirs(model.text_encoder.state_dict(), text_rows(config.text))
    path = tmp_path / "RN4.pt"
    torch.save({name: value for name, value in state.items() if ".connect." not in name}, path)
    return path


def settings(data: Path, clip: Path, **changes: Any) -> Recipe:
    model = {"family": "etris", "name": "tiny-etris", "config": CONFIG, "adapter": True}
    start: dict[str, Any] = {"model": model, "start": {"clip": str(clip)}, "preparation__size": 64, "steps": 2}
    content = recipe(data, clip.parent / "out", **start, validate_every=2, save_every=2, **changes)
    return Recipe.model_validate(content)


def test_a_training_writes_an_adapter_that_needs_its_clip(data: Path, clip: Path, console: Console) -> None:
    outcome = loop.train(settings(data, clip), evaluate=evaluate, console=console)
    assert outcome.weights is not None
    held = weights.read_tensors(outcome.weights)
    assert not any(name.startswith("text_encoder.layers") for name in held)
    model = rf.load(outcome.weights, device="cpu", clip=clip).model
    start = torch.load(clip, weights_only=True)
    assert torch.equal(model.text_encoder.projection, start["text_projection"])
    assert not torch.equal(model.text_encoder.positions, start["positional_embedding"])
    mean = "visual.layer1.0.bn1.running_mean"
    assert not torch.equal(model.image_encoder.stages[0][0].bn1.running_mean, start[mean])


def test_a_training_can_start_from_an_adapter_whose_clip_lies_beside_it(
    data: Path, clip: Path, console: Console
) -> None:
    first = loop.train(settings(data, clip), evaluate=evaluate, console=console)
    assert first.weights is not None
    beside = first.weights.rename(clip.parent / "adapter.safetensors")
    model = {"family": "etris", "name": "second", "config": CONFIG}
    content = recipe(data, clip.parent / "second", model=model, start={"weights": str(beside)}, preparation__size=64)
    plan = make_plan(Recipe.model_validate(content))
    expected = rf.load(beside, device="cpu").model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in plan.model.state_dict().items())


def test_an_adapter_of_encoders_that_are_trained_is_refused_at_the_start(
    data: Path, clip: Path, console: Console
) -> None:
    with pytest.raises(RecipeError, match=r"model\.adapter: .*would be trained.*model\.config\.tuning"):
        loop.train(settings(data, clip, model__config__tuning="full"), evaluate=evaluate, console=console)


def test_an_adapter_of_nothing_is_refused(data: Path, clip: Path) -> None:
    with pytest.raises(ValueError, match=r"`model\.adapter` needs `start\.clip`"):
        settings(data, clip, start__clip=None)
