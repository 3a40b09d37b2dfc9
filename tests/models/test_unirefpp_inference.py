"""UniRef++'s inference form answers as the model that it was made of."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from referent.encoders.mobilenet import MobileNetV2Config
from referent.encoders.swin import SwinConfig
from referent.models.base import Batch, Examples, Studied
from referent.models.unirefpp import UniRef, inference
from referent.models.unirefpp.config import FusionConfig
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion
from referent.models.unirefpp.fusion_inference import FastFusion
from referent.models.unirefpp.inference import UniRefInference

from .test_unirefpp import MASK_ENCODER, PHRASES, WIDTH, awake, config, examples_of, pictures

BACKBONES: dict[str, Any] = {
    "resnet": {},
    "swin": {"image": SwinConfig(width=8, depths=(1, 1, 1, 2), heads=(1, 1, 2, 2), window=4, drop_path=0)},
    "mobilenet": {"image": MobileNetV2Config(deeplab=False)},
}


def model_of(**changes: Any) -> UniRef:
    torch.manual_seed(0)
    model = awake(UniRef(config(mask_encoder=MASK_ENCODER, **changes)))
    for module in model.modules():  # statistics that are not those of a fresh BatchNorm
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return model


@pytest.fixture(scope="module")
def model() -> UniRef:
    return model_of()


@pytest.fixture(scope="module")
def fast(model: UniRef) -> UniRefInference:
    form = model.for_inference(size=96)
    assert isinstance(form, UniRefInference)
    return form


def batch(examples: Examples | None = None, tokens: Tensor = PHRASES) -> Batch:
    return Batch(pictures(2, 96, 80), tokens, torch.tensor([0, 0, 1]), examples=examples)


def assert_same(model: UniRef, fast: UniRefInference, given: Batch) -> None:
    with torch.no_grad():
        expected, found = model(given), fast(given)
    assert expected.presence is not None
    assert found.presence is not None
    assert torch.allclose(found.logits, expected.logits, atol=5e-4)
    assert torch.allclose(found.presence, expected.presence, atol=5e-4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_phrases_and_examples_are_answered_alike(backbone: str) -> None:
    model = model_of(**BACKBONES[backbone])
    fast = model.for_inference(size=96)
    assert isinstance(fast, UniRefInference)
    assert_same(model, fast, batch(examples_of([1, 2, 1], 64, 96)))


@pytest.mark.parametrize(
    "given", [batch(), batch(examples_of([0, 1]), torch.zeros_like(PHRASES)), batch(tokens=PHRASES[:, :0])]
)
def test_references_of_one_kind_and_none_are_answered_alike(model: UniRef, fast: UniRefInference, given: Batch) -> None:
    assert_same(model, fast, given)


@pytest.mark.parametrize("side", [1, 40])
def test_small_pictures_and_masks_at_full_resolution_are_answered_alike(
    model: UniRef, fast: UniRefInference, side: int
) -> None:
    given = Batch(pictures(1, side, side + 3), PHRASES[:1], torch.zeros(1).long(), full_resolution=True)
    assert_same(model, fast, given)


def test_what_is_remembered_is_what_would_be_studied(model: UniRef, fast: UniRefInference) -> None:
    image, mask = pictures(1), examples_of([0, 0]).mask
    with torch.no_grad():
        expected = model.study(image.expand(2, -1, -1, -1), mask)
        for found in (fast.study(image.expand(2, -1, -1, -1), mask), fast.remember(fast.look_at(image), image, mask)):
            assert all(torch.allclose(own, other, atol=1e-4) for own, other in zip(found, expected, strict=True))


def test_many_references_go_through_in_passes_of_bounded_size(
    model: UniRef, fast: UniRefInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "_PIXELS_TOGETHER", 1)
    passes: list[int] = []
    handle = fast.proposer.register_forward_hook(lambda _m, given, _r: passes.append(len(given[0])))
    given = batch(examples_of([1, 2, 1]))
    assert_same(model, fast, given)
    studied = Studied(
        tuple(fast.study(pictures(1), given.examples.mask[:1]) for _ in range(3)), torch.tensor([1, 2, 1])
    )  # type: ignore[union-attr]
    with torch.no_grad():
        one_by_one = fast(replace(given, examples=studied)).logits
        monkeypatch.undo()
        together = fast(replace(given, examples=studied)).logits
    handle.remove()
    assert passes == [1] * 6 + [3]
    assert torch.allclose(one_by_one, together, atol=1e-4)


def test_a_look_keeps_eight_channels_of_the_first_stage(fast: UniRefInference) -> None:
    assert fast.look_at(pictures(1, 64, 96))[0].shape == (1, 8, 16, 24)


def test_bfloat16_is_near_float32(model: UniRef) -> None:
    form = model.for_inference(torch.bfloat16, 96)
    with torch.no_grad():
        exact, rounded = model.look_at(pictures(1)), form.look_at(pictures(1))
        assert form(batch()).logits.dtype == torch.float32
    for own, other in zip(rounded[1:5], exact[1:5], strict=True):
        assert own.dtype == torch.float32
        assert torch.allclose(own, other, atol=0.2)


def test_weights_that_round_inside_the_fusion_go_on_rounding_there() -> None:
    model = model_of(fusion=FusionConfig(heads=2, bfloat16=True))
    form = model.for_inference(size=96)
    assert isinstance(form, UniRefInference)
    assert isinstance(form.fusion, UniFusion)
    assert isinstance(model_of().for_inference().fusion, FastFusion)


def test_it_cannot_train(fast: UniRefInference) -> None:
    given = batch()
    with pytest.raises(NotImplementedError, match="cannot train"):
        fast.losses(given, fast(given))


@pytest.mark.parametrize("head_width", [None, WIDTH // 2])
@pytest.mark.parametrize("keys", [3, WIDTH + 5])
def test_fusion_reads_few_keys_and_many_as_it_was_trained_to(keys: int, head_width: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=2, head_width=head_width)).eval()
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    keep = torch.ones(3, keys, dtype=torch.bool)
    keep[1, 1:], keep[2] = False, False
    key, value = (torch.randn(3, keys, WIDTH, generator=generator) for _ in range(2))
    reference = ReferenceBundle(key, value, keep, torch.randn(3, WIDTH, generator=generator))
    features = torch.randn(3, WIDTH, 4, 5, generator=generator)
    with torch.no_grad():
        expected, found = fusion(features, reference), FastFusion(fusion, torch.float32)(features, reference)
    assert torch.allclose(found, expected, atol=1e-4)
    assert torch.equal(found[2], features[2])
    assert not torch.allclose(found[0], features[0], atol=0.1)


def test_objects_with_the_same_frames_for_examples_look_at_them_together(monkeypatch: pytest.MonkeyPatch) -> None:
    fusion = awake_fusion()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, WIDTH, 12, 25, generator=generator).expand(4, -1, -1, -1)
    keys, others, values = (torch.randn(rows, 300, WIDTH, generator=generator) for rows in (1, 1, 4))
    keep = torch.ones(4, 300, dtype=torch.bool)
    keep[:, 280:] = False
    keep[3, 150:] = False  # one object has no second frame yet
    of_frames = torch.cat((keys, keys, others, keys))
    bundle = ReferenceBundle(of_frames, values, keep, torch.randn(4, WIDTH, generator=generator))
    together: list[int] = []
    read = FastFusion._read_wide

    def counted(self: FastFusion, pixels: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        together.append(values.shape[1])
        return read(self, pixels, keys, values)

    monkeypatch.setattr(FastFusion, "_read_wide", counted)
    with torch.no_grad():
        found, expected = FastFusion(fusion, torch.float32)(features, bundle), fusion(features, bundle)
    assert torch.allclose(found, expected, atol=1e-5)
    assert together == [2, 1, 1]


def awake_fusion() -> UniFusion:
    torch.manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=2)).eval()
    torch.nn.init.normal_(fusion.modulation.weight, std=0.2)
    torch.nn.init.normal_(fusion.modulation.bias, std=0.2)
    return fusion
