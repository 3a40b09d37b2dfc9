"""A training of ETRIS that starts from a CLIP and writes an adapter of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from training_tiny import evaluate, recipe

import referent as rf
from referent import adapters, weights
from referent.cli.convert import Number, convert
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.keymap import to_theirs
from referent.errors import RecipeError, WeightsError
from referent.models.etris import ETRIS, ETRISConfig
from referent.training import loop
from referent.training.plan import make_plan
from referent.training.recipe import Recipe, load_recipe
from referent.zoo.rows import POCKET

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
    with pytest.raises(ValueError, match=r"`start\.image` and `start\.text`"):
        settings(data, clip, start__clip=None, start__image=str(clip))
    with pytest.raises(ValueError, match=r"an adapter alone in `start\.weights`"):
        settings(data, clip, start__clip=None, start__weights="etris-pocket", start__text="cris-pocket")


def on_pocket_encoders(data: Path, output: Path, start: dict[str, Any], **heads: Any) -> Recipe:
    """An adapter of the package's MobileNetV2 and of cris-pocket's text encoder, to be trained for a step."""
    text = {"vocabulary": 4846, "width": 192, "layers": 4, "heads": 6, "context": 22, "embed": 512}
    bridger = {**CONFIG["bridger"], "places": [[2, 2], [3, 4]]}
    config = {**CONFIG, "image": {"kind": "mobilenet-v2"}, "text": text, "bridger": bridger, "tuning": "economical"}
    model = {"family": "etris", "name": "tiny", "config": {**config, **heads}, "adapter": True}
    content = recipe(data, output, model=model, start=start, preparation__size=32, steps=1, validate_every=1)
    content["preparation"]["context_length"] = 22
    return Recipe.model_validate(content)


@pytest.fixture
def pocket(data: Path, tmp_path: Path, console: Console) -> Path:
    start = {"image": "deeplabv3_mobilenet_v2_voc.safetensors", "text": "cris-pocket"}
    outcome = loop.train(on_pocket_encoders(data, tmp_path / "out", start), evaluate=evaluate, console=console)
    assert outcome.weights is not None
    return outcome.weights


def test_a_model_with_a_further_head_can_start_from_an_adapter_and_becomes_one_of_the_same_files(
    data: Path, pocket: Path, tmp_path: Path, console: Console
) -> None:
    start = {"weights": str(pocket), "fresh": [r"^label\."]}
    further = on_pocket_encoders(data, tmp_path / "further", start, label=True)
    first = rf.load(pocket, device="cpu").model.state_dict()
    state = make_plan(further).model.state_dict()
    assert {name for name in state if name not in first} == {name for name in state if name.startswith("label.")}
    assert all(torch.equal(state[name], value) for name, value in first.items())
    outcome = loop.train(further, evaluate=evaluate, console=console)
    assert outcome.weights is not None
    assert weights.read_header(outcome.weights).extra["bases"] == weights.read_header(pocket).extra["bases"]
    assert not any(name.startswith("image_encoder.") for name in weights.read_tensors(outcome.weights))
    assert rf.load(outcome.weights, device="cpu").model.gives_labels


def test_a_head_that_the_starting_weights_lack_must_be_said_to_be_fresh(
    data: Path, pocket: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"missing: label\..*; name in `start\.fresh` the parts that shall begin"):
        make_plan(on_pocket_encoders(data, tmp_path / "further", {"weights": str(pocket)}, label=True))


def test_an_adapter_that_starts_from_a_whole_model_belongs_to_nothing(data: Path, pocket: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.safetensors"
    convert(pocket, whole)
    with pytest.raises(
        RecipeError, match=r"start\.weights: .*whole\.safetensors is a whole model; `model\.adapter` needs"
    ):
        make_plan(on_pocket_encoders(data, tmp_path / "further", {"weights": str(whole)}))


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_the_pocket_recipes_of_further_heads_fit_the_package_s_adapter(data: Path, task: str) -> None:
    source = f"data.train=[{{path: {data}}}]"
    model = make_plan(load_recipe(f"etris-pocket-{task}", [source, "data.val=[]", "batch=2"])).model
    assert (model.gives_boxes, model.gives_labels) == (task == "detection", task == "classification")


def test_an_adapter_of_two_files_names_both_and_finds_them_in_the_package(pocket: Path) -> None:
    names = [(base.part, base.name) for base in adapters.bases_of(weights.read_header(pocket))]
    lent = "deeplabv3_mobilenet_v2_voc.safetensors"
    assert names == [("image_encoder", lent), ("text_encoder", "cris-pocket.safetensors")]
    of_encoders = {name for name in weights.read_tensors(pocket) if "_encoder." in name}
    assert of_encoders == {"text_encoder.positions"}
    state = rf.load(pocket, device="cpu").model.state_dict()
    tower = rf.load("cris-pocket", device="cpu").model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in tower.items() if name.startswith("text_encoder."))
    folded = load_file(POCKET / lent)
    assert torch.equal(state["image_encoder.stem.convolution.weight"], folded["stem.weight"].float())


def test_an_adapter_of_two_files_takes_no_clip(pocket: Path, clip: Path) -> None:
    with pytest.raises(WeightsError, match=r"of deeplab.* and cris-pocket\.safetensors, which takes no CLIP; found"):
        rf.load(pocket, clip=clip)


def test_a_file_without_the_encoder_that_it_should_lend_is_an_error() -> None:
    image = POCKET / "deeplabv3_mobilenet_v2_voc.safetensors"
    with pytest.raises(WeightsError, match=r"deeplab.*: text encoder: expected tensors text_encoder\.\*, found none"):
        adapters.lent(image, "text_encoder")


def test_an_adapter_of_another_file_with_that_name_is_an_error(pocket: Path) -> None:
    header, tensors = weights.read(pocket)
    other = [{**base, "sha256": "0" * 64, "tensors": "1"} for base in header.extra["bases"]]
    weights.write(pocket, tensors, replace(header, extra={"bases": other}))
    with pytest.raises(
        WeightsError, match=r"an adapter of deeplab.* \(sha256 0000.*neither beside it.*; put it beside it"
    ):
        rf.load(pocket)
    shutil.copy(POCKET / other[0]["name"], pocket.parent)
    shutil.copy(POCKET / other[1]["name"], pocket.parent)
    with pytest.raises(WeightsError, match=r"an adapter of deeplab.* \(sha256 0000.*holds other weights"):
        rf.load(pocket)


def test_an_adapter_converts_to_a_smaller_adapter_of_the_same_files(pocket: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.safetensors"
    convert(pocket, small, adapter=True, dtype=Number.fp16)
    assert weights.read_header(small).extra["bases"] == weights.read_header(pocket).extra["bases"]
    assert small.stat().st_size < 0.7 * pocket.stat().st_size
    state = rf.load(small, device="cpu").model.state_dict()
    assert all(
        torch.allclose(state[name], value, atol=2e-3)
        for name, value in rf.load(pocket, device="cpu").model.state_dict().items()
    )
