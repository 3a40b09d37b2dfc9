"""MagNet, tiny: what every model must do, and what is its own. Parity with the official code is in tests/parity."""

import logging
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.bert import BertConfig
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.mobilenet import MobileNetV2Config
from referent.encoders.swin import SwinConfig
from referent.errors import WeightsError
from referent.models.base import Batch
from referent.models.magnet import MagNet, MagNetConfig
from referent.models.magnet.alignment import PaperAlignment
from referent.models.magnet.config import AlignmentLossConfig, MaskDecoderConfig, PixelDecoderConfig, PredictorConfig
from referent.models.magnet.model import dealt
from referent.models.magnet.official import config_of, from_official, to_official
from referent.preparation import Preparation

from .base import ModelTester

MARKERS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]")
VOCABULARY = (*MARKERS, *(f"w{number}" for number in range(55)))
SWIN = SwinConfig(width=8, depths=(1, 2, 1, 1), heads=(1, 1, 2, 2), window=4)
BERT = BertConfig(
    vocabulary=len(VOCABULARY), width=16, layers=4, heads=2, feedforward=24, context=24, mask_id=3, special_ids=(1, 2)
)
CLIP_TEXT = CLIPTextConfig(vocabulary=50, width=24, layers=3, heads=2, context=12, embed=20)
DECODERS: dict[str, Any] = {
    "pixel_decoder": PixelDecoderConfig(width=16, layers=1, heads=2, points=2, feedforward=24),
    "mask_decoder": MaskDecoderConfig(layers=2, heads=2, feedforward=24),
    "predictor": PredictorConfig(layers=1, heads=2, feedforward=24, share=0.5),
}
PYRAMID = PixelDecoderConfig(width=16, levels=2, layers=1, heads=2, points=2, feedforward=24)
TINY: dict[str, Any] = {"image": SWIN, "text": BERT, **DECODERS}
# Heads do not show in a checkpoint: 32 channels each in the decoders, 64 in BERT.
OFFICIAL = MagNetConfig(
    image=SWIN.model_copy(update={"drop_path": 0.3}),
    text=BertConfig(vocabulary=60, width=64, layers=4, heads=1, feedforward=24, context=24),
    module="released",
    grounding="none",
    pixel_decoder=PixelDecoderConfig(width=32, layers=1, heads=1, feedforward=24),
    mask_decoder=MaskDecoderConfig(layers=4, heads=1, feedforward=24),
)


class TestMagNet(ModelTester):
    model_class = MagNet
    configurations: ClassVar = {
        "paper": MagNetConfig(**TINY),
        "released": MagNetConfig(**TINY, module="released", grounding="none"),
        "plain": MagNetConfig(**TINY, module="plain", alignment=None, grounding="none"),
        "pocket": MagNetConfig(image=MobileNetV2Config(), text=CLIP_TEXT, grounding="masked-vl", **DECODERS),
        "small": MagNetConfig(
            **{**TINY, "pixel_decoder": PYRAMID}, relative=True, expansion=1, compared="map", presence=True
        ),
    }
    stride = 1
    official = (from_official, to_official)
    official_configurations = ("official",)

    def batch(self, pictures: int = 2, references: int = 4) -> Batch:
        """With ids of the tiny vocabulary: [CLS], words, [SEP]."""
        batch = super().batch(pictures, references)
        tokens = torch.where(batch.tokens > 0, 5 + batch.tokens % 55, 0)
        for row in tokens:
            row[0], row[int((row != 0).sum()) - 1] = 1, 2
        return replace(batch, tokens=tokens)

    def preparation(self, configuration: str) -> Preparation:
        prepared = super().preparation(configuration)
        if configuration == "pocket":
            return prepared
        return prepared.model_copy(update={"fit": "squash", "tokenizer": "bert", "vocabulary": VOCABULARY})


def tiny(**changes: Any) -> MagNet:
    torch.manual_seed(0)
    return MagNet(MagNetConfig(**{**TINY, **changes}))


def losses_of(model: MagNet, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return model.losses(batch, model.train()(batch))


def test_the_published_configurations() -> None:
    paper, released = MagNetConfig.swin_b(), MagNetConfig.released()
    assert (paper.module, paper.grounding, released.module, released.grounding) == ("paper", "mask", "released", "none")
    assert paper.image == SwinConfig.base()
    assert paper.text == BertConfig.base()
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in MagNet(released).parameters()) == 296_984_954


def test_a_configuration_survives_json() -> None:
    for config in (*TestMagNet.configurations.values(), OFFICIAL):
        assert MagNetConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"kind": "vgg"}},
        {"text": {"kind": "bert", "width": 10, "heads": 3}},
        {"module": "none"},
        {"grounding": "words"},
        {"pixel_decoder": {"width": 20, "heads": 8}},
        {"predictor": {"share": 0}},
    ],
)
def test_an_impossible_configuration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MagNetConfig.model_validate(change)


@pytest.mark.parametrize("module", ["paper", "plain"])
@pytest.mark.parametrize("alignment", [None, AlignmentLossConfig(pixels=8)])
@pytest.mark.parametrize("grounding", ["none", "mlm", "masked-vl", "mask"])
def test_module_loss_and_grounding_are_chosen_apart(module: Any, alignment: Any, grounding: Any) -> None:
    model = tiny(module=module, alignment=alignment, grounding=grounding)
    losses = losses_of(model, TestMagNet().batch())
    wanted = {"bce": True, "dice": True, "alignment": alignment is not None, "grounding": grounding != "none"}
    assert losses.keys() == {name for name, there in wanted.items() if there}
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize(
    "image",
    [
        MobileNetV2Config(deeplab=False),
        CLIPResNetConfig(blocks=(1, 1, 1, 1), width=8, embed=24, grid=2),
        CLIPViTConfig(patch=16, width=64, depths=(1, 1, 1), embed=24, grid=4),
    ],
)
@pytest.mark.parametrize("text", [BERT, CLIP_TEXT])
def test_any_two_staged_encoders_make_a_model(image: Any, text: Any) -> None:
    model = tiny(image=image, text=text).eval()
    with torch.no_grad():
        assert model(TestMagNet().batch(1, 2)).logits.shape == (2, 1, 64, 64)


@pytest.mark.parametrize("module", ["paper", "released", "plain"])
@pytest.mark.parametrize("size", [(64, 96), (45, 70), (33, 32)])
def test_pictures_of_any_size_are_answered_at_their_size(module: Any, size: tuple[int, int]) -> None:
    model = tiny(module=module, grounding="none").eval()
    with torch.no_grad():
        logits = model(Batch.paired(torch.randn(1, 3, *size), TestMagNet().batch(1, 1).tokens)).logits
    assert logits.shape == (1, 1, *size)


def test_many_references_are_answered_a_few_at_a_time() -> None:
    model, batch = tiny().eval(), TestMagNet().batch(2, 6)
    sizes: list[int] = []
    model.pixel_decoder.register_forward_hook(lambda _m, inputs, _o: sizes.append(len(inputs[0][0])))
    with torch.no_grad():
        together = model(batch).logits
        first = model(replace(batch, tokens=batch.tokens[:2], picture=batch.picture[:2])).logits
    assert sizes == [4, 2, 2]
    assert torch.allclose(together[:2], first, atol=1e-5)


@pytest.mark.parametrize("module", ["paper", "released"])
def test_half_precision_answers_nearly_the_same(module: Any) -> None:
    model, batch = tiny(module=module, grounding="none").eval(), TestMagNet().batch(1, 2)
    with torch.no_grad():
        exact = model(batch).logits
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(batch).logits
    assert (rough.float() - exact).abs().max() < 0.1 * exact.std() + 0.1


def test_layers_are_dealt_evenly_and_the_rest_to_the_first_stages() -> None:
    layers = torch.nn.ModuleList(torch.nn.Identity() for _ in range(6))
    assert [len(dealt(layers, 4, stage)) for stage in range(4)] == [2, 1, 2, 1]
    assert [layer for stage in range(4) for layer in dealt(layers, 4, stage)] == list(layers)
    assert [len(dealt(layers[:0], 4, stage)) for stage in range(4)] == [0] * 4


def test_losses_without_a_target_or_without_training_are_an_error() -> None:
    model, batch = tiny(), TestMagNet().batch(1, 2)
    with pytest.raises(ValueError, match="target"):
        model.losses(Batch(batch.image, batch.tokens, batch.picture), model.train()(batch))
    with pytest.raises(ValueError, match="training mode"):
        model.losses(batch, model.eval()(batch))


def test_only_the_last_mask_counts_without_deep_supervision() -> None:
    batch = TestMagNet().batch()
    deep, flat = (
        tiny(
            deep_supervision=on,
            grounding="none",
            image=SWIN.model_copy(update={"drop_path": 0.0}),
            text=BERT.model_copy(update={"dropout": 0.0}),
        )
        for on in (True, False)
    )
    logits = flat.eval()(batch).logits
    assert batch.target is not None
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.target)
    of_last, of_all = (float(losses_of(model, batch)["bce"].detach()) for model in (flat, deep))
    assert of_last == pytest.approx(float(expected.detach()), rel=1e-4)
    assert abs(of_all - of_last) > 1e-3


@pytest.mark.parametrize("grounding", ["mlm", "mask"])
def test_words_are_hidden_in_training_only(grounding: Any) -> None:
    model, batch = tiny(grounding=grounding), TestMagNet().batch()
    seen: list[Tensor] = []
    model.text_encoder.embedding.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0]))  # type: ignore[union-attr]
    losses_of(model, batch)
    model.eval()(batch)
    assert (seen[0] == BERT.mask_id).any()
    assert torch.equal(seen[1], batch.tokens[:, : seen[1].shape[1]])


def released(opened: bool) -> MagNet:
    model = tiny(module="released", grounding="none").eval()
    if opened:
        for alignment in model.alignments[:-1]:
            for parameter in alignment.language.gate.parameters():  # type: ignore[union-attr]
                torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_zero_gates_skip_the_language_side_and_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    model, batch = released(opened=False), TestMagNet().batch()
    with caplog.at_level(logging.INFO, logger="referent"):
        model.load_state_dict(model.state_dict())
        skipped = model(batch).logits
    assert [record.levelname for record in caplog.records] == ["INFO"]
    for alignment in model.alignments[:-1]:
        assert not alignment.language_is_read
        alignment.language_is_read = True  # type: ignore[assignment]
    assert torch.allclose(model(batch).logits, skipped, atol=1e-5)


def test_open_gates_warn_and_read_padding_up_to_the_released_length(caplog: pytest.LogCaptureFixture) -> None:
    model, batch = released(opened=True), TestMagNet().batch()
    with caplog.at_level(logging.INFO, logger="referent"):
        model.load_state_dict(model.state_dict())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "chaotic" in caplog.text
    padded = replace(batch, tokens=torch.nn.functional.pad(batch.tokens, (0, 20 - batch.tokens.shape[1])))
    assert torch.equal(model(batch).logits, model(padded).logits)
    assert not torch.allclose(model(batch).logits, released(opened=False)(batch).logits, atol=1e-4)


def test_gates_that_training_opens_are_noticed() -> None:
    model = released(opened=False)
    assert not model.language_is_read
    assert model.train().language_is_read
    torch.nn.init.ones_(model.alignments[0].language.gate[2].weight)  # type: ignore[union-attr, index]
    assert model.eval().language_is_read


def official_state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return to_official(MagNet(OFFICIAL).state_dict(), OFFICIAL)


def test_official_names_round_trip_and_tell_the_configuration() -> None:
    state = official_state()
    assert config_of(state) == OFFICIAL
    again = to_official(from_official({"model": state, "epoch": 3, "args": None}), OFFICIAL)
    assert set(again) == set(state)
    assert all(torch.equal(again[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    "name",
    [
        "image_model.norm0.weight",
        "language_model.res_gates.3.0.weight",
        "classifier.predictor.class_embed.bias",
        "lang_proj.weight",
        "image_model.layers.0.blocks.0.attn.relative_position_index",
        "classifier.predictor.query_feat.weight",
    ],
)
def test_a_missing_name_is_named(name: str) -> None:
    state = official_state()
    del state[name]
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        from_official(state)


def test_a_name_left_over_another_shape_and_other_positions_are_named() -> None:
    with pytest.raises(WeightsError, match=r"unexpected classifier\.extra"):
        from_official({**official_state(), "classifier.extra": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"lang_proj\.weight is"):
        from_official({**official_state(), "lang_proj.weight": torch.zeros(32, 65)})
    index = "image_model.layers.0.blocks.0.attn.relative_position_index"
    with pytest.raises(WeightsError, match="other positions"):
        from_official({**official_state(), index: torch.zeros(16, 16, dtype=torch.long)})


@pytest.mark.parametrize("content", [{}, {"model": {}}, {"model": {"a": 3}}, {"weights": torch.zeros(1)}])
def test_something_else_is_not_a_checkpoint(content: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="not a MagNet checkpoint"):
        from_official(content)


@pytest.mark.parametrize("name", ["paper", "plain", "pocket"])
def test_a_model_that_the_official_code_lacks_has_no_official_names(name: str) -> None:
    config = TestMagNet.configurations[name]
    with pytest.raises(WeightsError, match="official MagNet"):
        to_official(MagNet(config).state_dict(), config)


def test_maps_that_do_not_attend_are_still_read() -> None:
    model = tiny(pixel_decoder=PYRAMID).eval()
    maps = [torch.randn(1, channels, side, side) for channels, side in zip((8, 16, 32, 64), (16, 8, 4, 2), strict=True)]
    features, decoded = model.pixel_decoder(maps)
    assert [tuple(part.shape[1:]) for part in (features, *decoded)] == [(16, side, side) for side in (16, 2, 4, 8)]
    for number in range(len(maps)):
        changed = [part + 1 if place == number else part for place, part in enumerate(maps)]
        assert not torch.allclose(model.pixel_decoder(changed)[0], features)


def test_only_maps_that_attend_have_deformable_attention() -> None:
    attending = [tiny(pixel_decoder=PYRAMID.model_copy(update={"levels": levels})) for levels in (2, None)]
    assert [model.pixel_decoder.layers[0].attention.levels for model in attending] == [2, 4]


def test_presence_is_judged_for_every_phrase_and_learnt() -> None:
    model = tiny(presence=True)
    batch = TestMagNet().batch()
    assert model.losses(batch, model(batch)).keys() == {"bce", "dice", "alignment", "grounding", "presence"}
    judged = model.eval()(batch).presence
    assert judged is not None
    assert judged.shape == (len(batch.tokens),)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_masks_of_nothing_or_everything_give_finite_losses_and_gradients(value: float) -> None:
    model, batch = tiny(presence=True), TestMagNet().batch()
    assert batch.target is not None
    empty = replace(batch, target=torch.full_like(batch.target, value))
    losses = model.losses(empty, model(empty))
    torch.stack(list(losses.values())).sum().backward()
    assert losses["alignment"] == 0
    assert all(loss.isfinite() for loss in losses.values())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_masks_are_compared_at_the_pictures_size_or_at_the_maps() -> None:
    batch = TestMagNet().batch()
    assert batch.target is not None
    finer = replace(batch, target=(torch.arange(batch.target.shape[-1]) % 4 == 0).float().expand_as(batch.target))
    losses = {}
    for compared in ("picture", "map"):
        model = tiny(compared=compared, grounding="none", alignment=None)
        losses[compared] = model.losses(finer, model(finer))["dice"]
    # Nearest neighbour keeps every fourth column, of which this target consists.
    assert losses["map"] < losses["picture"] - 0.2


def test_phrases_can_be_read_without_a_picture() -> None:
    model = tiny().eval()
    words, state = model.read(torch.tensor([[1, 7, 8, 2, 0]]))
    assert words.shape == (1, 5, 16)
    assert torch.equal(state, words[:, 0])


@pytest.mark.parametrize("relative", [True, False])
def test_updates_of_the_module_are_bounded_in_its_unit(relative: bool) -> None:
    """Of 1 as in the paper, or of one deviation of each pixel's channels: then words also count in large maps."""
    torch.manual_seed(0)
    module = PaperAlignment(8, 16, (1, 2), 1, words_read=True, relative=relative)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    feature_map, words = 100 * torch.randn(2, 8, 6, 6), torch.randn(2, 5, 16)
    aligned = module(feature_map, words, torch.ones(2, 5, dtype=torch.bool))
    update = (aligned.feature_map - feature_map).abs()
    unit = feature_map.std(1, keepdim=True) if relative else torch.ones(())
    assert (update <= 1.0001 * unit).all()
    assert (update / unit).amax() > 0.9
    assert (float(aligned.read.abs().amax()) < 20) is relative  # what the decoder reads is normed


@pytest.mark.parametrize("module", ["plain", "released"])
def test_a_unit_of_the_papers_module_is_refused_for_another(module: str) -> None:
    with pytest.raises(ValidationError, match=rf'relative: expected with module "paper" only, found "{module}"'):
        MagNetConfig(module=module, relative=True)
