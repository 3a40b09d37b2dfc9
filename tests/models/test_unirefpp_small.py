"""The settings of UniRef++ by which a small model learns in few steps; the published models have none of them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from referent.encoders.mobilenet import MobileNetV2Config
from referent.models.base import Batch, Examples
from referent.models.unirefpp import UniRef, UniRefConfig
from referent.models.unirefpp.config import DetectorConfig, FusionConfig, MaskEncoderConfig
from referent.models.unirefpp.criterion import dense_loss
from referent.models.unirefpp.fusion import ReferenceBundle, UniFusion
from referent.models.unirefpp.mask_head import MaskHead

from .test_unirefpp import BERT, DETECTOR, RESNET

WIDTH = 32


def config(**changes: Any) -> UniRefConfig:
    values = {
        "image": RESNET,
        "width": WIDTH,
        "text": BERT,
        "text_dropout": 0.0,
        "mask_encoder": MaskEncoderConfig(depths=(1, 1, 1, 1), width=8, inner=8, direct=True),
        "fusion": FusionConfig(heads=2, head_width=8, alike=True, dropout=0),
        "detector": DETECTOR,
    }
    return UniRefConfig(**(values | changes))


def batch() -> Batch:
    """Two pictures; each is asked a phrase, and the second by two examples too."""
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(3, 1, 64, 64)
    target[0, :, 8:40, 8:40] = target[1, :, 20:60, 30:60] = 1
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 10:30, 10:30] = 1
    tokens = torch.tensor([[2, 5, 6, 3], [2, 7, 6, 3], [0, 0, 0, 0]])
    examples = Examples(torch.randn(2, 3, 64, 64, generator=generator), mask, torch.tensor([2, 2]))
    pictures = torch.randn(2, 3, 64, 64, generator=generator)
    return Batch(pictures, tokens, torch.tensor([0, 1, 1]), target, examples=examples)


@pytest.mark.parametrize("shared", ["everywhere", "levels", "tasks", "nowhere"])
def test_every_parameter_learns(shared: str) -> None:
    torch.manual_seed(0)
    fusion = FusionConfig(heads=2, head_width=8, alike=True, shared=shared)  # type: ignore[arg-type]
    model = UniRef(config(fusion=fusion, dense=True)).train()
    # Of a fresh fusion the gates are shut, and what is behind them gets no gradient.
    for name, parameter in model.named_parameters():
        if "modulation" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    losses = model.losses(batch(), model(batch()))
    torch.stack(list(losses.values())).sum().backward()
    silent = [name for name, one in model.named_parameters() if one.requires_grad and one.grad is None]
    assert not silent
    fusions = {"everywhere": 1, "levels": 2, "tasks": 4, "nowhere": 8}
    assert sum(isinstance(part, UniFusion) for part in model.modules()) == fusions[shared]


@pytest.mark.parametrize("shared", ["levels", "tasks", "nowhere"])
def test_separate_fusions_with_the_same_weights_answer_as_one(shared: str) -> None:
    torch.manual_seed(0)
    one = UniRef(config()).eval()
    several = UniRef(config(fusion=config().fusion.model_copy(update={"shared": shared}))).eval()
    torch.nn.init.normal_(one.fusion.modulation.weight, std=0.3)  # type: ignore[union-attr, arg-type]
    rest = {name: value for name, value in one.state_dict().items() if not name.startswith("fusion.")}
    several.load_state_dict(rest, strict=False)
    for part in several.modules():
        if isinstance(part, UniFusion):
            part.load_state_dict(one.fusion.state_dict())
    both = batch()
    with torch.no_grad():
        torch.testing.assert_close(several(both).logits, one(both).logits, rtol=1e-4, atol=1e-4)
    assert several.for_inference() is several


def test_the_answer_does_not_depend_on_what_only_training_has() -> None:
    torch.manual_seed(0)
    plain = UniRef(config()).eval()
    helped = UniRef(config(dense=True, detector=DETECTOR.model_copy(update={"proposals": "many"}))).eval()
    helped.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.equal(plain(batch()).logits, helped(batch()).logits)


def test_the_inference_form_answers_as_a_small_model_does() -> None:
    torch.manual_seed(0)
    model = UniRef(config(image=MobileNetV2Config(deeplab=False), dense=True, distance_unit=16)).eval()
    torch.nn.init.normal_(model.fusion.modulation.weight, std=0.3)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        torch.testing.assert_close(model.for_inference()(batch()).logits, model(batch()).logits, rtol=1e-3, atol=1e-3)


def test_dense_loss_is_least_where_every_pixel_is_right_and_asks_nothing_of_dice_where_nothing_is_meant() -> None:
    target = torch.zeros(2, 1, 64, 64)
    target[0, :, 16:48, 16:48] = 1
    right = torch.full((2, 8, 8), -20.0)
    right[0, 2:6, 2:6] = 20
    # Bilinear enlargement is wrong at the edges alone.
    assert dense_loss(right, target) < 0.5 < dense_loss(-right, target)
    assert dense_loss(torch.full((1, 8, 8), -20.0), torch.zeros(1, 1, 64, 64)) < 1e-3


def test_many_pixels_propose_an_object_where_asked() -> None:
    torch.manual_seed(0)
    target = torch.zeros(1, 1, 128, 128)
    target[..., 16:112, 16:112] = 1
    asked = Batch(torch.randn(1, 3, 128, 128), torch.tensor([[2, 5, 6, 3]]), torch.tensor([0]), target)

    def loss(proposals: str) -> Tensor:
        torch.manual_seed(0)
        detector = DetectorConfig(**(DETECTOR.model_dump() | {"proposals": proposals}))
        model = UniRef(config(detector=detector)).train()
        torch.nn.init.constant_(model.proposer.score.bias, -20)
        return model.losses(asked, model(asked))["class"]

    # Every positive pixel costs about as much, and the number of pairs divides: alike for one and for many, but the
    # negatives, which cost nothing here.
    one, many = loss("one"), loss("many")
    assert torch.isfinite(one)
    assert torch.isfinite(many)
    assert one != many


def test_pixels_read_what_looks_like_them_before_anything_is_learnt() -> None:
    torch.manual_seed(0)
    fusion = UniFusion(WIDTH, FusionConfig(heads=1, alike=True, dropout=0)).eval()
    torch.nn.init.constant_(fusion.modulation.bias, 1.0)
    pixels = torch.randn(1, WIDTH, 4, 4) * 3
    keys = pixels.flatten(2).transpose(1, 2)
    values = torch.zeros(1, 16, WIDTH)
    values[0, 5] = 1
    seen = fusion(pixels, ReferenceBundle(keys, values, torch.ones(1, 16, dtype=torch.bool), keys.mean(1)))
    moved = (seen - pixels).flatten(2)[0].std(0)
    assert moved.argmax() == 5


def test_an_example_s_mask_is_in_its_values_from_the_start() -> None:
    torch.manual_seed(0)
    model = UniRef(config()).eval()
    assert model.mask_encoder.marks is not None
    picture, mask = torch.randn(1, 3, 128, 128), torch.zeros(1, 1, 128, 128)
    mask[..., :64] = 1
    with torch.no_grad():
        _, marked, *_ = model.study(picture, mask)
        model.mask_encoder.marks.zero_()
        _, plain, *_ = model.study(picture, mask)
    added = (marked - plain)[0].abs().sum(-1).reshape(16, 16)
    assert (added[:, :8] > 0.1).all()
    assert not added[:, 8:].any()


def test_distances_are_counted_in_units() -> None:
    torch.manual_seed(0)
    head, coarse = MaskHead(WIDTH), MaskHead(WIDTH, unit=64)
    coarse.load_state_dict(head.state_dict())
    states, features = torch.randn(1, 2, WIDTH), torch.zeros(1, 8, 16, 16)
    centres = torch.tensor([[[32.0, 32.0], [8.0, 50.0]]])
    first, second = head(states, centres, features), coarse(states, centres, features)
    assert first.std() > 3 * second.std()
