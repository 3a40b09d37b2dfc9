"""UniRef++ at a tiny size: what every model must do, and what is its own."""

from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from referent.encoders.bert import BertConfig
from referent.encoders.mobilenet import MobileNetV2Config
from referent.encoders.resnet import ResNetConfig
from referent.encoders.swin import SwinConfig
from referent.errors import WeightsError
from referent.models.base import Batch, Examples, Studied
from referent.models.unirefpp import UniRef, UniRefConfig
from referent.models.unirefpp.config import DetectorConfig, FusionConfig, MaskEncoderConfig
from referent.models.unirefpp.criterion import NAMES
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion
from referent.models.unirefpp.official import config_of, from_official, to_official
from referent.preparation import Preparation

from .base import EOT, SOT, ModelTester

WIDTH = 64
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "red", "left")
DETECTOR = DetectorConfig(encoder_layers=1, decoder_layers=2, heads=2, points=2, feedforward=32, queries=12)
BERT = BertConfig(vocabulary=len(VOCABULARY), width=64, layers=1, heads=1, feedforward=32, context=16, dropout=0)
RESNET = ResNetConfig(depths=(1, 1, 1, 1), width=4)
MASK_ENCODER = MaskEncoderConfig(depths=(1, 1, 1, 1), width=8)


def config(**changes: Any) -> UniRefConfig:
    values = {
        "image": RESNET,
        "width": WIDTH,
        "text": BERT,
        "text_dropout": 0.0,
        "mask_encoder": None,
        "fusion": FusionConfig(heads=2),
        "detector": DETECTOR,
    }
    return UniRefConfig(**(values | changes))


def awake(model: UniRef) -> UniRef:
    """With gates of the fusion and box heads that do something."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modulation" in name or "correct" in name or "controller" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


class TestUniRefOfPhrases(ModelTester):
    model_class = UniRef
    configurations: ClassVar = {
        "resnet": config(),
        "swin": config(image=SwinConfig(width=8, depths=(1, 1, 1, 2), heads=(1, 1, 2, 2), window=4, drop_path=0)),
    }
    size = 96  # at 64 the coarsest map is one pixel, whose group norm magnifies rounding
    stride = 1
    official = (from_official, to_official)
    official_configurations = ("resnet", "swin")

    def model(self, configuration: str) -> UniRef:
        model = super().model(configuration)
        assert isinstance(model, UniRef)
        return awake(model)

    def preparation(self, configuration: str) -> Preparation:
        return Preparation(size=self.size, context_length=self.length, tokenizer="bert", vocabulary=VOCABULARY)

    def batch(self, pictures: int = 2, references: int = 4) -> Batch:
        batch = super().batch(pictures, references)
        # The ids of the tester's rows, in a vocabulary of nine.
        tokens = torch.where(batch.tokens > 0, batch.tokens % 4 + 5, 0)
        tokens[batch.tokens == SOT], tokens[batch.tokens == EOT] = 2, 3
        return Batch(batch.image, tokens, batch.picture, batch.target)


def joint() -> UniRef:
    torch.manual_seed(0)
    return awake(UniRef(config(mask_encoder=MASK_ENCODER)))


def pictures(count: int, height: int = 64, width: int = 64, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def examples_of(reference: list[int], height: int = 64, width: int = 64) -> Examples:
    mask = torch.zeros(len(reference), 1, height, width)
    for row in range(len(reference)):
        mask[row, :, 8 : 24 + 4 * row, 8:40] = 1
    return Examples(pictures(len(reference), height, width, seed=2), mask, torch.tensor(reference))


PHRASES = torch.tensor([[2, 6, 3, 0], [0, 0, 0, 0], [2, 7, 6, 3]])


def test_every_parameter_learns_where_phrases_and_examples_are_mixed() -> None:
    model = joint().train()
    target = torch.zeros(3, 1, 64, 64)
    target[:, :, 10:40, 20:50] = 1
    batch = Batch(pictures(2), PHRASES, torch.tensor([0, 0, 1]), target, examples=examples_of([1, 1, 2]))
    losses = model.losses(batch, model(batch))
    assert set(losses) == set(NAMES)
    torch.stack(list(losses.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) is parameter.requires_grad, name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def test_nothing_to_find_anywhere_still_gives_finite_losses() -> None:
    model = joint().train()
    batch = Batch(pictures(1), PHRASES[:1], torch.tensor([0]), torch.zeros(1, 1, 64, 64))
    losses = model.losses(batch, model(batch))
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert float(losses["mask"].detach()) == float(losses["l1"].detach()) == 0
    assert float(losses["class"].detach()) > 0


def test_references_of_every_kind_in_one_batch_answer_as_alone() -> None:
    model = joint()
    examples = examples_of([1, 2, 1])
    image = pictures(1)
    with torch.no_grad():
        together = model(Batch(image, PHRASES, torch.zeros(3).long(), examples=examples)).logits
        for row in range(3):
            own = (examples.reference == row).nonzero()[:, 0]
            given = Examples(examples.image[own], examples.mask[own], torch.zeros(len(own)).long())
            alone = Batch(image, PHRASES[row : row + 1], torch.zeros(1).long(), examples=given if len(own) else None)
            assert torch.allclose(model(alone).logits[0], together[row], atol=1e-4), row


def test_examples_studied_one_by_one_answer_as_those_of_the_batch() -> None:
    model = joint()
    examples = examples_of([0, 0])
    blank = torch.zeros(1, 3).long()
    with torch.no_grad():
        alone = (model.study(examples.image[row : row + 1], examples.mask[row : row + 1]) for row in range(2))
        studied = Studied(tuple(alone), examples.reference)
        for seed in (5, 6):
            image = pictures(1, seed=seed)
            fresh = model(Batch(image, blank, torch.zeros(1).long(), examples=examples))
            reused = model(Batch(image, blank, torch.zeros(1).long(), examples=studied))
            assert torch.allclose(fresh.logits, reused.logits, atol=1e-4)


def test_examples_of_several_sizes_serve_one_reference() -> None:
    model = joint()
    large, small = examples_of([0], 96, 64), examples_of([0], 50, 40)
    batch = Batch(pictures(1), torch.zeros(2, 3).long(), torch.zeros(2).long())
    with torch.no_grad():
        first, second = (model.study(examples.image, examples.mask) for examples in (large, small))
        both = model(replace(batch, examples=Studied((first, second, first), torch.tensor([0, 0, 1])))).logits
        one = model(replace(batch, examples=Studied((first, first), torch.tensor([0, 1])))).logits
    assert torch.allclose(both[1], one[1], atol=1e-4)
    assert not torch.allclose(both[0], one[0], atol=1e-4)


def test_the_mask_of_an_example_changes_the_answer() -> None:
    model = joint()
    examples = examples_of([0])
    other = Examples(examples.image, 1 - examples.mask, examples.reference)
    batches = [
        Batch(pictures(1), torch.zeros(1, 3).long(), torch.zeros(1).long(), examples=e) for e in (examples, other)
    ]
    with torch.no_grad():
        first, second = (model(batch).logits for batch in batches)
    assert not torch.allclose(first, second, atol=1e-4)


def test_pictures_padded_to_a_common_size_answer_as_when_the_model_pads_them() -> None:
    model = joint()
    image = pictures(1, 50, 90)
    canvas = torch.nn.functional.pad(image, (0, 6, 0, 14))
    with torch.no_grad():
        own = model(Batch.paired(image, PHRASES[:1]))
        sized = Batch(canvas, PHRASES[:1], torch.zeros(1).long(), sizes=torch.tensor([[50, 90]]))
        assert own.logits.shape == (1, 1, 50, 90)
        assert torch.allclose(model(sized).logits[..., :50, :90], own.logits, atol=1e-5)


@pytest.mark.parametrize("side", [1, 20, 33])
def test_a_picture_smaller_than_its_queries_need_is_answered(side: int) -> None:
    with torch.no_grad():
        logits = joint()(Batch.paired(pictures(1, side, side), PHRASES[:1])).logits
    assert logits.shape == (1, 1, side, side)
    assert torch.isfinite(logits).all()


def test_one_mask_is_computed_and_it_is_that_of_the_best_query() -> None:
    model = joint()
    shapes = []
    kept: dict[str, Any] = {}
    model.mask_head.register_forward_hook(lambda _m, given, _r: shapes.append(tuple(given[0].shape)))
    model.mask_features.register_forward_hook(lambda _m, _g, result: kept.update(features=result))
    model.decoder.register_forward_hook(lambda _m, _g, result: kept.update(decoded=result))
    with torch.no_grad():
        output = model(Batch.paired(pictures(1), PHRASES[:1]))
        decoded = kept["decoded"]
        scores = model.decoder.score[-1](decoded.states[-1])[0, :, 0]
        masks = model.mask_head(decoded.states[-1], decoded.references[-2][..., :2] * 64, kept["features"])
    assert shapes[0] == (1, 1, WIDTH)
    best = torch.nn.functional.interpolate(masks[:, scores.argmax()][None], scale_factor=4, mode="bilinear")
    assert torch.allclose(best, output.logits, atol=1e-5)
    assert output.presence is not None
    assert torch.equal(output.presence[0], scores.max())


def test_another_staged_encoder_serves_as_well() -> None:
    model = awake(UniRef(config(image=MobileNetV2Config(deeplab=False))))
    with torch.no_grad():
        logits = model(Batch.paired(pictures(1), PHRASES[:1])).logits
    assert logits.shape == (1, 1, 64, 64)
    assert torch.isfinite(logits).all()


def test_weights_say_which_references_they_take() -> None:
    assert joint().reference_kinds == {"phrase", "example"}
    assert UniRef(config()).reference_kinds == {"phrase"}
    assert UniRef(config(text=None, mask_encoder=MASK_ENCODER)).reference_kinds == {"example"}


def bundle(generator: torch.Generator, keep: Tensor) -> ReferenceBundle:
    keys, values = (torch.randn(*keep.shape, WIDTH, generator=generator) for _ in range(2))
    return ReferenceBundle(keys, values, keep, torch.randn(len(keep), WIDTH, generator=generator))


def test_a_fresh_fusion_is_the_identity_and_a_row_without_reference_stays_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=2)).eval()
    features = torch.randn(2, WIDTH, 3, 5, generator=generator)
    reference = bundle(generator, torch.tensor([[True] * 4, [False] * 4]))
    assert torch.equal(fusion(features, reference), features)
    torch.nn.init.normal_(fusion.modulation.weight)
    fused = fusion(features, reference)
    assert not torch.allclose(fused[0], features[0])
    assert torch.equal(fused[1], features[1])


def test_references_of_two_kinds_are_read_side_by_side() -> None:
    generator = torch.Generator().manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=2)).eval()
    torch.nn.init.normal_(fusion.modulation.weight)
    features = torch.randn(1, WIDTH, 3, 5, generator=generator)
    first, second = (bundle(generator, torch.ones(1, 4, dtype=torch.bool)) for _ in range(2))
    apart = fusion(features, first) + fusion(features, second) - features
    assert torch.allclose(fusion(features, first, second), apart, atol=1e-4)


def test_fusion_in_bfloat16_is_near_that_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=2)).eval()
    torch.nn.init.normal_(fusion.modulation.weight, std=0.1)
    features = torch.randn(1, WIDTH, 4, 4, generator=generator)
    reference = bundle(generator, torch.ones(1, 4, dtype=torch.bool))
    exact = fusion(features, reference)
    fusion.in_bfloat16 = True
    rounded = fusion(features, reference)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.1)


class TestOfficialCheckpoints:
    def checkpoint(self) -> dict[str, Tensor]:
        state = to_official(joint().state_dict(), joint().config)
        return state | {"criterion._iter": torch.zeros(1)}

    def test_the_configuration_follows_from_the_weights(self) -> None:
        found = config_of({"model": self.checkpoint(), "iteration": 3})
        # Heads do not show in weights: 32 channels each are assumed.
        ours = joint().config
        assert found.mask_encoder is not None
        assert found.mask_encoder.model_copy(update={"gate_reduction": 16}) == ours.mask_encoder
        assert found.image == ours.image
        assert (found.detector, found.fusion) == (ours.detector, ours.fusion)

    def test_two_names_of_one_head_that_differ_are_refused(self) -> None:
        state = self.checkpoint()
        name = "detr.detr.transformer.decoder.class_embed.0.weight"
        with pytest.raises(WeightsError, match=r"class_embed\.0\.weight"):
            from_official(state | {name: state[name] + 1})

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda state: state.pop("detr.fusion_module.norm_v.weight"),
            lambda state: state.update({"detr.surplus": torch.zeros(1)}),
            lambda state: state.update({"detr.lateral_conv.bias": torch.zeros(3)}),
            lambda state: state.pop("detr.detr.transformer.level_embed"),
        ],
    )
    def test_names_missing_left_over_or_of_another_shape_are_refused(self, spoil: Any) -> None:
        state = self.checkpoint()
        spoil(state)
        with pytest.raises(WeightsError, match="not a UniRef"):
            from_official(state)

    def test_an_encoder_that_the_official_code_lacks_cannot_be_written(self) -> None:
        model = UniRef(config(image=MobileNetV2Config(deeplab=False)))
        with pytest.raises(WeightsError, match="ResNet or Swin"):
            to_official(model.state_dict(), model.config)
