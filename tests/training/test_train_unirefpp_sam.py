"""The trainings of UniFusion inside SAM at debug size, from a small SAM, on small files of the true formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import test_train_unirefpp
import torch
from rich.console import Console
from safetensors.torch import save_file
from test_train_unirefpp import BERT, batches
from unirefpp_sets import VOCABULARY

from referent import weights
from referent.cli.train import scores
from referent.encoders.keymap import to_theirs
from referent.errors import WeightsError
from referent.models.unirefpp.sam.anything import Sam
from referent.models.unirefpp.sam.config import SamConfig
from referent.models.unirefpp.sam.official_names import sam_rows, transformers_rows
from referent.training.loop import train
from referent.training.objective import Objective
from referent.training.optimiser import training_mode
from referent.training.plan import make_plan
from referent.training.recipe import Recipe, load_recipe

sets = test_train_unirefpp.sets  # a fixture
STAGES = ("unirefpp-sam-image", "unirefpp-sam-video")
SAM: dict[str, Any] = {
    "side": 64,
    "channels": 16,
    "layers": 2,
    "heads": 2,
    "feedforward": 32,
    "window": 3,
    "global_layers": [1],
    "width": 32,
    "decoder_feedforward": 32,
    "mask_channels": 4,
}
TINY = {"sam": SAM, "text": BERT, "mask_encoder": {"depths": [1, 1, 1], "width": 8}, "fusion": {"heads": 2}}


def debug(name: str, sets: dict[str, Path], output: Path, *overrides: str) -> Recipe:
    """The shipped recipe on small files, with a tiny model, from random weights."""
    plain = load_recipe(name)
    preparation = plain.preparation | {"size": 64, "longest": 64, "vocabulary": VOCABULARY}
    assert plain.data.augment is not None
    changed = [
        "model.preset=null",
        f"model.config={json.dumps(TINY)}",
        f"preparation={json.dumps(preparation)}",
        f"data.augment={json.dumps(plain.data.augment | {'sizes': [64], 'longest': 64})}",
        *(f"start.{part}=null" for part in ("weights", "sam", "text", "mask")),
        *("batch=2", "steps=2", "workers=0", "validate_every=2", "save_every=2", "log_every=1"),
        # Of four channels, oneDNN's channels-last gradient of a strided 1x1 convolution writes where it must not.
        "channels_last=false",
        f"output={output}",
    ]
    for kind, sources in (("train", plain.data.train), ("val", plain.data.val)):
        changed += [
            f"data.{kind}.{place}.path={json.dumps(str(sets[str(one.path)]))}" for place, one in enumerate(sources)
        ]
    return load_recipe(name, [*changed, *overrides])


@pytest.fixture(scope="module")
def small_sam() -> Sam:
    torch.manual_seed(7)
    return Sam(SamConfig.model_validate(SAM))


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_teaches_all_that_is_not_frozen(
    name: str,
    sets: dict[str, Path],
    tmp_path: Path,
) -> None:
    plan = make_plan(debug(name, sets, tmp_path), start=False)
    objective = Objective(plan.model, (), plan.recipe.loss, bf16=False, seed=0)
    training_mode(objective)
    for batch in batches(plan):
        total = objective(batch, 0, 0)["total"]
        assert torch.isfinite(total)
        total.backward()
    for parameter_name, parameter in plan.model.named_parameters():
        assert (parameter.grad is not None) is parameter.requires_grad, parameter_name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), parameter_name
    frozen = {part.split(".")[0] for part, parameter in plan.model.named_parameters() if not parameter.requires_grad}
    assert frozen == ({"sam"} if name == STAGES[0] else {"sam", "text_encoder"})


def test_the_stages_follow_each_other_from_a_sam_that_they_leave_as_it_is(
    sets: dict[str, Path],
    tmp_path: Path,
    console: Console,
    small_sam: Sam,
) -> None:
    save_file(to_theirs(small_sam.state_dict(), sam_rows(small_sam.config)), tmp_path / "sam.safetensors")
    start = f"start.sam={tmp_path / 'sam.safetensors'}"
    first = train(debug(STAGES[0], sets, tmp_path / "0", start), evaluate=scores, console=console)
    start = f"start.weights={first.weights}"
    second = train(debug(STAGES[1], sets, tmp_path / "1", start), evaluate=scores, console=console)
    assert second.weights is not None
    _, state = weights.read(second.weights)
    for name, value in small_sam.state_dict().items():
        if not name.startswith("mask_decoder."):
            assert torch.equal(state[f"sam.{name}"], value), name


def test_a_sam_comes_in_transformers_layout_too_and_no_other_fits(
    sets: dict[str, Path],
    tmp_path: Path,
    small_sam: Sam,
) -> None:
    state = to_theirs(small_sam.state_dict(), transformers_rows())
    # Their files hold this table under both names, or under this one alone.
    state["prompt_encoder.shared_embedding.positional_embedding"] = torch.zeros(2, 16)
    save_file(state, tmp_path / "model.safetensors")
    plan = make_plan(debug(STAGES[0], sets, tmp_path, f"start.sam={tmp_path}"))
    found = plan.model.state_dict()
    assert all(torch.equal(found[f"sam.{name}"], value) for name, value in small_sam.state_dict().items())
    with pytest.raises(WeightsError, match="SAM of this size"):
        make_plan(debug(STAGES[0], sets, tmp_path, f"start.sam={tmp_path}", "model.config.sam.feedforward=48"))
