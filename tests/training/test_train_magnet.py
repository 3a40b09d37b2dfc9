"""A tiny MagNet trains from public layouts of Swin and BERT; its shipped recipes fit its losses and its parameters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from referent import load
from referent.encoders.bert import BertConfig, BertEncoder
from referent.encoders.bert_weights import bert_rows
from referent.encoders.keymap import to_theirs
from referent.encoders.swin import Swin, SwinConfig
from referent.encoders.swin_weights import swin_rows
from referent.errors import RecipeError, WeightsError
from referent.models.magnet import MagNet, MagNetConfig
from referent.training.loop import train
from referent.training.optimiser import parameter_groups
from referent.training.plan import make_plan
from referent.training.recipe import Recipe, load_recipe, shipped

PIECES = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", *"the red green blue square thing".split()]
SWIN = SwinConfig(width=8, depths=(1, 1, 1, 1), heads=(1, 1, 1, 2), window=4)
BERT = BertConfig(
    vocabulary=len(PIECES), width=16, layers=4, heads=2, feedforward=24, context=24, mask_id=3, special_ids=(1, 2)
)
TINY: dict[str, Any] = {
    "image": SWIN.model_dump(),
    "text": BERT.model_dump(),
    "pixel_decoder": {"width": 16, "layers": 1, "heads": 2, "feedforward": 24},
    "mask_decoder": {"layers": 2, "heads": 2, "feedforward": 24},
    "predictor": {"layers": 1, "heads": 2, "feedforward": 24},
}


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe whose encoders start from folders in their authors' layouts."""
    torch.manual_seed(3)
    swin, bert = tmp_path / "swin.pth", tmp_path / "bert"
    torch.save({"model": to_theirs(Swin(SWIN).state_dict(), swin_rows(SWIN))}, swin)
    bert.mkdir()
    theirs = to_theirs(BertEncoder(BERT).state_dict(), bert_rows(BERT))
    save_file({f"bert.{name}": value.contiguous() for name, value in theirs.items()}, bert / "model.safetensors")
    (bert / "vocab.txt").write_text("\n".join(PIECES))
    return {
        "model": {"family": "magnet", "config": TINY, "name": "tiny-magnet"},
        "start": {"image": str(swin), "text": str(bert)},
        "preparation": {"size": 32, "fit": "squash", "tokenizer": "bert", "vocabulary": str(bert)},
        "data": {"train": [{"path": str(data), "split": "train"}]},
        "loss": {"bce": 2.0, "dice": 2.0, "alignment": 0.5, "grounding": 1.0},
        "optimiser": {"kind": "adamw", "lr": 2e-3},
        "schedule": {"kind": "polynomial"},
        "batch": 4,
        "steps": 16,
        "workers": 0,
        "log_every": 4,
        "output": str(tmp_path / "run"),
    }


def test_encoders_start_from_the_layouts_of_their_authors(settings: dict[str, Any], tmp_path: Path) -> None:
    model = make_plan(Recipe.model_validate(settings)).model
    assert isinstance(model, MagNet)
    saved = torch.load(tmp_path / "swin.pth", weights_only=True)["model"]
    assert torch.equal(model.image_encoder.stem.project.weight, saved["patch_embed.proj.weight"])  # type: ignore[union-attr]
    fresh = make_plan(Recipe.model_validate({**settings, "start": {}})).model
    ours, random = (
        dict(one.named_parameters())["text_encoder.layers.0.expand.weight"].detach() for one in (model, fresh)
    )
    assert not torch.equal(ours, random)


def test_a_training_lowers_the_loss_and_its_weights_answer(
    settings: dict[str, Any], data: Path, tmp_path: Path, console: Console
) -> None:
    outcome = train(Recipe.model_validate(settings), console=console)
    lines = [json.loads(line) for line in next((tmp_path / "run").glob("*.jsonl")).read_text().splitlines()]
    losses = [line["losses"] for line in lines if "losses" in line]
    assert losses[-1]["total"] < losses[0]["total"]
    assert {"bce", "dice", "alignment", "grounding"} <= losses[0].keys()
    assert outcome.weights is not None
    answer = load(outcome.weights).segment(data.parent / "0.png", "the red square")
    assert answer.model == "tiny-magnet"


def test_another_vocabulary_than_the_models_is_refused_before_training(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "bert" / "vocab.txt").write_text("\n".join([*PIECES, "more"]))
    with pytest.raises(WeightsError, match="expected the 11 pieces"):
        make_plan(Recipe.model_validate(settings))
    with pytest.raises(RecipeError, match="vocabulary"):
        make_plan(Recipe.model_validate({**settings, "preparation": {"tokenizer": "bert"}}))


@pytest.mark.parametrize("name", [name for name in shipped() if name.startswith("magnet-swinb")])
def test_a_shipped_recipe_fits_the_published_model(name: str) -> None:
    recipe = load_recipe(name)
    with torch.device("meta"):
        model = MagNet(MagNetConfig.swin_b())
    decayed = {group.match: group.weight_decay for group in parameter_groups(model, recipe.optimiser)}
    assert sorted(decayed.values()) == [0.0, 0.01]
    assert recipe.loss == {"bce": 2.0, "dice": 2.0, "alignment": 0.5, "grounding": 1.0}
    assert recipe.preparation["fit"] == "squash"
