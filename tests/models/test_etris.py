"""ETRIS, tiny: what every model must do, and what is ETRIS's own. Parity with the official code is in tests/parity."""

from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.mobilenet import MobileNetV2Config
from referent.errors import WeightsError
from referent.layers.attention import Attention
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig
from referent.models.base import Batch
from referent.models.etris import ETRIS, ETRISConfig
from referent.models.etris.config import BridgerConfig, NeckConfig
from referent.models.etris.official import config_of, from_official, to_official
from referent.training.optimiser import training_mode

from .base import ModelTester

RESNET = CLIPResNetConfig(blocks=(1, 1, 1, 1), width=8, embed=24, grid=2)
VIT = CLIPViTConfig(patch=16, width=64, depths=(1, 1, 1), embed=24, grid=4)
TEXT = CLIPTextConfig(vocabulary=50, width=24, layers=3, heads=2, context=12, embed=20)
WHOLE_VOCABULARY = CLIPTextConfig(width=64, layers=3, heads=1, context=12, embed=24)
RESNET_PLACES = ((1, 1), (2, 2), (3, 3))
VIT_PLACES = ((0, 1), (1, 2), (2, 3))
BRIDGER = BridgerConfig(places=RESNET_PLACES, width=8, heads=2, feedforward=12)
VIT_BRIDGER = BridgerConfig(places=VIT_PLACES, width=8, heads=2, interactor="product", zoom_norm=True)
HEAD: dict[str, Any] = {
    "neck": NeckConfig(width=16, heads=2),
    "decoder": DecoderConfig(layers=2, heads=2, feedforward=24),
    "projector": ProjectorConfig(hidden=12, width=8),
}
OFFICIAL_HEAD: dict[str, Any] = {
    "text": WHOLE_VOCABULARY,
    "decoder": DecoderConfig(layers=1, heads=1, feedforward=32),
    "projector": ProjectorConfig(hidden=12, width=8),
}


def narrow(bridger: dict[str, Any] | None = None, **changes: Any) -> ETRISConfig:
    """A tiny ETRIS on a ResNet, with changes to the Bridgers and to the rest."""
    own = BRIDGER.model_copy(update=bridger or {})
    return ETRISConfig(**{"image": RESNET, "text": TEXT, "bridger": own, **HEAD, **changes})


class TestETRIS(ModelTester):
    model_class = ETRIS
    configurations: ClassVar = {
        # As the official code could have them.
        "resnet": ETRISConfig(
            image=RESNET,
            bridger=BRIDGER.model_copy(update={"heads": 4}),
            neck=NeckConfig(width=64, heads=1),
            **OFFICIAL_HEAD,
        ),
        "vit": ETRISConfig(
            image=VIT,
            bridger=VIT_BRIDGER.model_copy(update={"heads": 8}),
            neck=NeckConfig(stages=(0, 1, 2), width=64, heads=1),
            **OFFICIAL_HEAD,
        ),
        # The other position of every switch.
        "plain zoom, economical": narrow(
            {"zoom_in": False, "zoom_out": False, "zoom_norm": True}, tuning="economical", statistics="frozen"
        ),
        "full, last Bridger only": narrow({"places": ((3, 2),)}, tuning="full"),
        "without Bridgers": narrow({"places": ()}),
        "without alignments": narrow(neck=NeckConfig(width=16, heads=2, hierarchical=False), decoder=None),
        # Another encoder, and everything that the paper has not.
        "pocket": narrow(
            image=MobileNetV2Config(), projector=ProjectorConfig(hidden=12, width=8, detail=True), presence=True
        ),
    }
    official = (from_official, to_official)
    official_configurations = ("resnet", "vit")


def tiny(name: str = "resnet") -> ETRIS:
    torch.manual_seed(0)
    return ETRIS(TestETRIS.configurations[name])


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_the_published_configurations_have_the_published_sizes() -> None:
    unmovable = 3 * 2 * (512 * 512 + 512)  # queries and keys of the gates, which the official code counts as trained
    for config, total, count in (
        (ETRISConfig.r50(), 132_783_522, 28_819_009),
        (ETRISConfig.r101(), 146_923_938, 26_328_129),
        (ETRISConfig.vitb16(), 173_259_330, 23_829_313),
    ):
        with torch.device("meta"):
            model = ETRIS(config)
        parameters = dict(model.named_parameters())
        assert sum(parameter.numel() for parameter in parameters.values()) == total - 1  # the logit scale is a buffer
        assert sum(parameters[name].numel() for name in trained(model)) == count - unmovable


def test_the_papers_bridger_for_the_vit_is_beside_the_released_one() -> None:
    released, paper = ETRISConfig.vitb16(), ETRISConfig.vitb16_paper()
    assert (released.bridger.interactor, paper.bridger.interactor) == ("product", "block")
    with torch.device("meta"):
        assert any("bridgers.0.pixel_interactor.self_attention" in name for name in ETRIS(paper).state_dict())


def test_a_configuration_survives_json() -> None:
    for config in TestETRIS.configurations.values():
        assert ETRISConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bridger": {"places": ((2, 4), (1, 8))}}, "rising stages"),
        ({"bridger": {"places": ((1, 8), (2, 4))}}, "do not fall"),
        ({"bridger": {"places": ((1, 13),)}}, "at most 12 text layers"),
        ({"bridger": {"places": ((4, 12),)}}, "stages 0 to 3"),
        ({"bridger": {"heads": 5}}, "divisor of width"),
        ({"neck": {"stages": (2, 1, 3)}}, "three rising"),
        ({"neck": {"stages": (0, 1, 2)}}, "takes the last"),
        ({"neck": {"width": 516}}, "multiple of 8"),
        ({"projector": {"detail": True}, "bridger": {"places": ((0, 4),)}}, "projector.detail"),
        ({"tuning": "half"}, "economical"),
        ({"ladder_dim": 64}, "Extra inputs"),
    ],
)
def test_an_impossible_configuration_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ETRISConfig.model_validate(change)


def test_faithful_tuning_trains_the_positional_tables_and_nothing_else_of_the_encoders() -> None:
    of_encoders = {name for name in trained(tiny()) if "_encoder." in name}
    assert of_encoders == {"image_encoder.finish.positions", "text_encoder.positions"}
    assert not {name for name in trained(tiny("plain zoom, economical")) if "_encoder." in name}
    assert "text_encoder.embedding.weight" in trained(tiny("full, last Bridger only"))


def graphs(model: ETRIS, batch: Batch) -> dict[str, bool]:
    """For each part of the encoders, whether autograd keeps a graph of what it gives."""
    reached: dict[str, bool] = {}

    def note(name: str) -> Any:
        def hook(_module: nn.Module, _given: Any, result: Any) -> None:
            reached[name] = (result[0] if isinstance(result, tuple) else result).requires_grad

        return hook

    encoders = {"stem": model.image_encoder.stem}
    encoders |= {f"stage {number}": stage for number, stage in enumerate(model.image_encoder.stages)}
    encoders |= {f"text {number}": layer for number, layer in enumerate(model.text_encoder.layers)}
    for name, module in encoders.items():
        module.register_forward_hook(note(name))
    model.train()(batch)
    return reached


def test_nothing_is_back_propagated_below_the_lowest_trained_tensor() -> None:
    batch = TestETRIS().batch()
    faithful = graphs(tiny(), batch)
    # A ResNet's only positional table is in its attention pool; the text's is at its very bottom.
    assert [name for name, has in faithful.items() if not has] == ["stem", "stage 0", "stage 1"]
    economical = graphs(tiny("plain zoom, economical"), batch)
    assert [name for name, has in economical.items() if not has] == ["stem", "stage 0", "stage 1", "text 0"]
    assert all(graphs(tiny("vit"), batch).values())
    none = graphs(ETRIS(TestETRIS.configurations["vit"].model_copy(update={"tuning": "economical"})), batch)
    assert [name for name, has in none.items() if not has] == ["stem", "stage 0", "text 0"]


def kept(model: ETRIS, batch: Batch) -> dict[str, int]:
    """For each part of the encoders, how many tensors autograd keeps of it."""
    counts: dict[str, int] = {}
    total = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        total += 1
        return tensor

    def starts(name: str) -> Any:
        return lambda *_: counts.__setitem__(name, total)

    def ends(name: str) -> Any:
        return lambda *_: counts.__setitem__(name, total - counts[name])

    encoders = {"stem": model.image_encoder.stem}
    encoders |= {f"stage {number}": stage for number, stage in enumerate(model.image_encoder.stages)}
    encoders |= {f"text {number}": layer for number, layer in enumerate(model.text_encoder.layers)}
    for name, module in encoders.items():
        module.register_forward_pre_hook(starts(name))
        module.register_forward_hook(ends(name))
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model.train()(batch)
    return counts


@pytest.mark.parametrize(
    ("tuning", "nothing_of"),
    [
        ("faithful", ["stem", "stage 0", "stage 1"]),
        ("economical", ["stem", "stage 0", "stage 1", "text 0"]),
        ("full", []),
    ],
)
def test_nothing_is_kept_in_memory_below_the_lowest_trained_tensor(tuning: Any, nothing_of: list[str]) -> None:
    counts = kept(ETRIS(narrow(tuning=tuning)), TestETRIS().batch())
    assert [name for name, count in counts.items() if count == 0] == nothing_of


@pytest.mark.parametrize("name", ["resnet", "plain zoom, economical"])
def test_statistics_of_frozen_batch_norms_drift_or_stay_as_configured(name: str) -> None:
    model = tiny(name)
    training_mode(model)
    model(TestETRIS().batch())
    norm = model.image_encoder.stem.bn1  # type: ignore[union-attr]
    assert bool(norm.running_mean.any()) is (name == "resnet")  # type: ignore[union-attr]
    assert model.neck.projects[0][1].running_mean.any()  # type: ignore[index, union-attr]


def test_attention_on_one_key_is_its_value_whatever_the_query() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 4)
    nn.init.normal_(attention.value.bias)
    pixels, key = torch.randn(2, 9, 16), torch.randn(2, 16)
    plain = attention(pixels, key[:, None], key[:, None])
    assert torch.allclose(plain, attention.of_one_key(key)[:, None].expand_as(plain), atol=1e-6)


def test_queries_and_keys_of_the_gates_are_kept_and_not_trained() -> None:
    model = tiny()
    assert "neck.gates.0.query.weight" in model.state_dict()
    assert not any(name.startswith(("neck.gates.0.query", "neck.gates.0.key")) for name in trained(model))
    assert "neck.gates.0.value.weight" in trained(model)


def test_without_hierarchical_alignment_the_neck_ignores_the_sentence() -> None:
    state, other = torch.randn(2, 20), torch.randn(2, 20)
    maps = [torch.randn(2, 16, 4, 4) for _ in range(3)]
    for name, same in (("without alignments", True), ("full, last Bridger only", False)):
        neck = tiny(name).eval().neck
        assert torch.equal(neck(list(maps), state), neck(list(maps), other)) is same


def test_what_a_phrase_cannot_change_is_computed_once_a_picture() -> None:
    model = tiny().eval()
    counted: list[str] = []
    parts = {"stage 1": model.image_encoder.stages[1], "zoom": model.bridgers[0].zoom_in}
    parts |= {"own": model.bridgers[0].pixel_interactor.self_attention, "stage 2": model.image_encoder.stages[2]}
    for name, module in parts.items():
        module.register_forward_hook(lambda *call, name=name: counted.append(f"{name} {len(call[-1])}"))
    batch = TestETRIS().batch(1, 4)
    with torch.no_grad():
        sight = model.look_at(batch.image)
        model.answer(sight, batch)
    assert counted == ["stage 1 1", "zoom 1", "own 1", "stage 2 4"]


def test_bridgers_make_words_depend_on_the_picture_and_maps_on_the_phrase() -> None:
    for name, same in (("resnet", False), ("without Bridgers", True)):
        model, batch = tiny(name).eval(), TestETRIS().batch(2, 2)
        seen: list[torch.Tensor] = []
        model.neck.projects[2].register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0]))
        with torch.no_grad():
            model(batch)
            model(Batch(batch.image, batch.tokens.flip(0), batch.picture))
        assert torch.equal(*seen) is same


def test_a_vit_on_another_size_resizes_its_positions_and_says_so() -> None:
    model = tiny("vit").eval()
    tokens = TestETRIS().batch(1, 1).tokens
    with torch.no_grad(), pytest.warns(UserWarning, match=r"stem\.positions: the table of 4 x 4 .* resized to 4 x 6"):
        logits = model(Batch.paired(torch.randn(1, 3, 64, 96), tokens)).logits
    assert logits.shape == (1, 1, 16, 24)


def test_pictures_need_not_be_square() -> None:
    logits = tiny().eval()(Batch.paired(torch.randn(1, 3, 64, 96), TestETRIS().batch(1, 1).tokens)).logits
    assert logits.shape == (1, 1, 16, 24)


def test_one_reference_alone_can_be_trained_on() -> None:
    model, batch = tiny().train(), TestETRIS().batch(1, 1)
    assert torch.isfinite(model.losses(batch, model(batch))["text_to_pixel"])


def official_state(name: str = "resnet") -> dict[str, torch.Tensor]:
    return to_official(tiny(name).state_dict(), TestETRIS.configurations[name])


@pytest.mark.parametrize("name", TestETRIS.official_configurations)
def test_a_checkpoint_of_distributed_training_loads(name: str) -> None:
    state = {f"module.{key}": value for key, value in official_state(name).items()}
    checkpoint = {"epoch": 3, "optimizer": {"state": {}}, "state_dict": state}
    assert config_of(checkpoint) == TestETRIS.configurations[name]
    ours = from_official(checkpoint)
    assert all(torch.equal(ours[key], value) for key, value in tiny(name).state_dict().items())


@pytest.mark.parametrize(
    "name", ["bridger.zoom_in.1.weight", "backbone.visual.attnpool.connect.1.bias", "proj.txt.bias"]
)
def test_a_missing_name_is_named(name: str) -> None:
    state = official_state()
    del state[name]
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        from_official(state)


def test_a_name_left_over_and_a_tensor_of_another_shape_are_named() -> None:
    with pytest.raises(WeightsError, match=r"unexpected neck\.extra"):
        from_official({**official_state(), "neck.extra": torch.zeros(1)})
    state = official_state()
    state["neck.f3_proj.0.weight"] = state["neck.f3_proj.0.weight"][:, :-1]
    with pytest.raises(WeightsError, match=r"neck\.f3_proj\.0\.weight is"):
        from_official(state)


@pytest.mark.parametrize("content", [{}, {"state_dict": {"a": 3}}, {"backbone.x": torch.zeros(1)}])
def test_something_else_is_not_a_checkpoint(content: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="not an ETRIS checkpoint"):
        from_official(content)


@pytest.mark.parametrize("name", ["full, last Bridger only", "pocket", "without Bridgers", "without alignments"])
def test_a_model_that_the_official_code_lacks_has_no_official_names(name: str) -> None:
    with pytest.raises(WeightsError, match="official ETRIS"):
        to_official(tiny(name).state_dict(), TestETRIS.configurations[name])
