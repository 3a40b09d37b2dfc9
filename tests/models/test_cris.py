"""CRIS, tiny: what every model must do, and what is CRIS's own. Parity with the official code is in tests/parity."""

from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError

from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.mobilenet import MobileNetV2Config
from referent.errors import TrainingError, WeightsError
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig
from referent.models.base import Batch
from referent.models.cris import CRIS, CRISConfig
from referent.models.cris.config import NeckConfig
from referent.models.cris.official import config_of, from_official, to_official

from .base import ModelTester

RESNET = CLIPResNetConfig(blocks=(1, 1, 1, 1), width=8, embed=24, grid=2)
TEXT = CLIPTextConfig(vocabulary=50, width=24, layers=1, heads=2, context=12, embed=20)
HEAD: dict[str, Any] = {
    "neck": NeckConfig(channels=(8, 16, 24)),
    "decoder": DecoderConfig(layers=2, heads=2, feedforward=32),
    "projector": ProjectorConfig(hidden=12, width=8),
}
WHOLE_VOCABULARY = CLIPTextConfig(width=64, layers=1, heads=1, context=12, embed=20)
OFFICIAL = CRISConfig(
    image=RESNET,
    text=WHOLE_VOCABULARY,
    neck=NeckConfig(channels=(8, 64, 24)),
    decoder=DecoderConfig(layers=1, heads=1, feedforward=32),
    projector=ProjectorConfig(hidden=12, width=8),
)


class TestCRIS(ModelTester):
    model_class = CRIS
    configurations: ClassVar = {
        "resnet": CRISConfig(image=RESNET, text=TEXT, **HEAD),
        "vit": CRISConfig(
            image=CLIPViTConfig(patch=16, width=64, depths=(1, 1, 1), embed=24, grid=2), text=TEXT, **HEAD
        ),
        "presence": CRISConfig(image=RESNET, text=TEXT, presence=True, **HEAD),
        # Another encoder, and everything that the paper has not.
        "pocket": CRISConfig(
            image=MobileNetV2Config(),
            text=TEXT,
            neck=HEAD["neck"],
            decoder=HEAD["decoder"],
            projector=ProjectorConfig(hidden=12, width=8, detail=True),
            presence=True,
        ),
        "official": OFFICIAL,
    }
    official = (from_official, to_official)
    official_configurations = ("official",)


def tiny(name: str = "resnet") -> CRIS:
    torch.manual_seed(0)
    return CRIS(TestCRIS.configurations[name])


def test_the_published_configurations_are_the_defaults() -> None:
    assert CRISConfig.r50().image == CLIPResNetConfig.rn50()
    assert CRISConfig.r101().text.embed == CRISConfig.r101().image.embed == 512


def test_a_configuration_survives_json() -> None:
    for config in TestCRIS.configurations.values():
        assert CRISConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"kind": "clip-resnet", "widht": 3}},
        {"image": {"kind": "vgg"}},
        {"neck": {"channels": (8, 18, 8)}},
        {"text": {"width": 10, "heads": 3}},
        {"text": {"width": 9, "heads": 3}},
        {"decoder": {"dropout": 1.0}},
    ],
)
def test_an_impossible_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CRISConfig.model_validate(change)


def test_training_on_one_reference_says_what_to_do() -> None:
    model = tiny().train()
    batch = TestCRIS().batch(1, 1)
    with pytest.raises(TrainingError, match="at least 2"):
        model(batch)
    model.neck.text.eval()
    model.neck(*(part[:1] for part in model.look_at(TestCRIS().batch(2, 2).image)), model.read(batch.tokens)[1])


def test_pictures_need_not_be_square() -> None:
    model = tiny().eval()
    image = torch.randn(1, 3, 64, 96)
    logits = model(Batch.paired(image, TestCRIS().batch(1, 1).tokens)).logits
    assert logits.shape == (1, 1, 16, 24)


def test_the_presence_loss_asks_whether_the_target_is_empty_and_leaves_the_mask_alone() -> None:
    model = tiny("presence").train()
    batch = TestCRIS().batch(2, 4)
    model.losses(batch, model(batch))["presence"].backward()
    assert model.presence is not None
    assert all(parameter.grad is not None for parameter in model.presence.parameters())
    assert all(parameter.grad is None for parameter in model.projector.parameters())


def test_dice_asks_for_an_empty_mask_where_nothing_is_meant() -> None:
    from referent.layers.losses import dice

    nothing = torch.zeros(1, 1, 4, 4)
    assert dice(torch.full((1, 1, 4, 4), -20.0), nothing) < 1e-3 < 0.9 < dice(torch.full((1, 1, 4, 4), 20.0), nothing)
    something = torch.ones(1, 1, 4, 4)
    assert dice(torch.full((1, 1, 4, 4), 20.0), something) < 1e-3


def test_losses_without_a_target_are_an_error() -> None:
    model, batch = tiny().eval(), TestCRIS().batch(1, 2)
    bare = Batch(batch.image, batch.tokens, batch.picture)
    with pytest.raises(ValueError, match="target"):
        model.losses(bare, model(bare))


def official_state() -> dict[str, torch.Tensor]:
    return to_official(tiny("official").state_dict(), OFFICIAL)


def test_a_checkpoint_of_distributed_training_loads() -> None:
    state = official_state()
    checkpoint = {
        "epoch": 3,
        "best_iou": 0.5,
        "optimizer": {"state": {}, "param_groups": []},
        "state_dict": {f"module.{name}": value for name, value in state.items()},
    }
    assert config_of(checkpoint) == OFFICIAL
    ours = from_official(checkpoint)
    assert all(torch.equal(ours[name], value) for name, value in tiny("official").state_dict().items())


def test_a_checkpoint_in_half_precision_becomes_single() -> None:
    halved = {name: value.half() if value.is_floating_point() else value for name, value in official_state().items()}
    assert all(v.dtype in (torch.float32, torch.int64) for v in from_official(halved).values())


def test_counters_of_batch_norm_may_be_absent() -> None:
    state = {name: value for name, value in official_state().items() if not name.endswith("num_batches_tracked")}
    CRIS(OFFICIAL).load_state_dict(from_official(state))


@pytest.mark.parametrize("name", ["neck.aggr.0.weight", "backbone.ln_final.bias", "proj.txt.bias"])
def test_a_missing_name_is_named(name: str) -> None:
    state = official_state()
    del state[name]
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        from_official(state)


def test_a_name_left_over_is_named() -> None:
    with pytest.raises(WeightsError, match=r"unexpected neck\.extra"):
        from_official({**official_state(), "neck.extra": torch.zeros(1)})


def test_a_tensor_of_another_shape_is_named() -> None:
    state = official_state()
    state["neck.aggr.0.weight"] = state["neck.aggr.0.weight"][:, :-1]
    with pytest.raises(WeightsError, match=r"neck\.aggr\.0\.weight is"):
        from_official(state)


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, {"state_dict": {"a": 3}}, {"weights": torch.zeros(1)}])
def test_something_else_is_not_a_checkpoint(content: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="not a CRIS checkpoint"):
        from_official(content)


@pytest.mark.parametrize("name", ["vit", "presence", "resnet"])
def test_a_model_that_the_official_code_lacks_has_no_official_names(name: str) -> None:
    with pytest.raises(WeightsError, match="official CRIS"):
        to_official(tiny(name).state_dict(), TestCRIS.configurations[name])
