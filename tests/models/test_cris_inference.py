"""The inference form of CRIS answers what CRIS answers."""

import pytest
import torch

from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
from referent.layers import packed
from referent.layers.decoder import DecoderConfig
from referent.layers.packed import PackedConv, PackedLinear
from referent.layers.projector import ProjectorConfig
from referent.layers.winograd import WinogradConv
from referent.models.base import Batch
from referent.models.cris import CRIS, CRISConfig
from referent.models.cris.config import NeckConfig
from referent.models.cris.inference import CRISInference

from .test_cris import TestCRIS as Cases

WIDE = CRISConfig(  # wide enough for Winograd to be chosen
    image=CLIPResNetConfig(blocks=(1, 2, 1, 1), width=8, embed=24, grid=2),
    text=CLIPTextConfig(vocabulary=50, width=24, layers=1, heads=2, context=12, embed=20),
    neck=NeckConfig(channels=(128, 256, 64)),
    decoder=DecoderConfig(layers=1, heads=4, feedforward=64),
    projector=ProjectorConfig(hidden=256, width=128, detail=True),
    presence=True,
)


def model(config: CRISConfig) -> CRIS:
    made = CRIS(config)
    torch.manual_seed(0)
    for module in made.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return made.eval()


@pytest.mark.parametrize("name", list(Cases.configurations))
def test_it_answers_the_same(name: str) -> None:
    cris = model(Cases.configurations[name])
    batch = Cases().batch(2, 4)
    expected, found = cris(batch), CRISInference(cris)(batch)
    assert torch.allclose(found.logits, expected.logits, atol=1e-4)
    if expected.presence is not None:
        assert torch.allclose(found.presence, expected.presence, atol=1e-4)


@pytest.mark.parametrize("sides", [(64, 64), (96, 64)])
def test_it_answers_the_same_where_winograd_is_used(sides: tuple[int, int]) -> None:
    cris = model(WIDE)
    form = CRISInference(cris, size=832)  # as if for large pictures, so that Winograd is chosen
    assert isinstance(form._neck.settle, WinogradConv)
    batch = Batch(torch.randn(2, 3, *sides), Cases().batch(2, 3).tokens, torch.tensor([1, 0, 1]))
    expected, found = cris(batch), form(batch)
    assert torch.allclose(found.logits, expected.logits, atol=2e-4)
    assert torch.allclose(found.presence, expected.presence, atol=2e-4)


def test_half_precision_answers_nearly_the_same() -> None:
    cris = model(WIDE)
    batch = Cases().batch(1, 2)
    expected, found = cris(batch).logits, CRISInference(cris, torch.bfloat16)(batch).logits
    assert found.dtype == torch.float32
    assert (found - expected).abs().max() < 0.05 * expected.abs().max() + 0.05


def test_half_precision_answers_on_a_cpu_without_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "bf16_is_native", lambda: False)
    form = CRISInference(model(Cases.configurations["resnet"]), torch.bfloat16)
    assert torch.isfinite(form(Cases().batch(1, 2)).logits).all()


def test_it_does_not_depend_on_the_order_or_company_of_phrases() -> None:
    form = CRISInference(model(Cases.configurations["resnet"]))
    batch = Cases().batch(1, 4)
    sight = form.look_at(batch.image)
    together = form.answer(sight, batch).logits
    for row in range(4):
        alone = form.answer(sight, Batch(batch.image, batch.tokens[row : row + 1], torch.zeros(1).long())).logits
        assert torch.allclose(alone[0], together[row], atol=1e-4)


def test_a_model_gives_its_inference_form() -> None:
    form = model(Cases.configurations["resnet"]).for_inference(torch.bfloat16)
    assert isinstance(form, CRISInference)
    assert form.dtype == torch.bfloat16


def test_many_references_go_through_in_parts() -> None:
    cris = model(Cases.configurations["presence"])
    batch = Cases().batch(2, 5)
    expected, found = cris(batch), CRISInference(cris)(batch)
    assert torch.allclose(found.logits, expected.logits, atol=1e-4)
    assert found.presence is not None
    assert found.presence.shape == (5,)


def test_it_cannot_train() -> None:
    form = CRISInference(model(Cases.configurations["resnet"]))
    batch = Cases().batch(1, 2)
    with pytest.raises(NotImplementedError, match="cannot train"):
        form.losses(batch, form(batch))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (13, 13), (26, 30), (5, 4)])
@pytest.mark.parametrize("relu", [True, False])
def test_winograd_is_a_convolution(height: int, width: int, relu: bool) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(12, 10, 3, 3) / 90**0.5, torch.randn(12)
    x = torch.randn(2, 10, height, width)
    expected = torch.nn.functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    expected = expected.relu() if relu else expected
    with torch.inference_mode():
        found = WinogradConv(weight, bias, relu)(x)
    assert torch.allclose(found.double(), expected, atol=1e-4)


def test_winograd_in_many_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from referent.layers import winograd

    convolution, x = WinogradConv(torch.randn(6, 5, 3, 3), torch.randn(6), True), torch.randn(3, 5, 21, 17)
    with torch.inference_mode():
        whole = convolution(x)
        monkeypatch.setattr(winograd, "_CHUNK_BYTES", 1)
        assert torch.allclose(convolution(x), whole, atol=1e-5)


def test_layers_for_many_rows_are_packed_where_mkl_is_not_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias, x = torch.randn(6, 5), torch.randn(6), torch.randn(7, 5)
    plain = torch.nn.functional.linear(x, weight, bias).relu()
    for faster in (True, False):
        monkeypatch.setattr(packed, "_mkl_is_faster", lambda dtype, faster=faster: faster)
        with torch.inference_mode():
            layer = PackedLinear(weight, bias, relu=True, many=True)
            assert torch.allclose(layer(x), plain, atol=1e-5)
        assert layer.packed == (packed._can_pack(weight) and not faster)


@pytest.mark.parametrize("available", [True, False])
def test_packed_layers_are_the_plain_ones(monkeypatch: pytest.MonkeyPatch, available: bool) -> None:
    if not available:
        monkeypatch.setattr(packed, "_can_pack", lambda weight: False)
    torch.manual_seed(0)
    weight, bias, x, other = torch.randn(6, 5), torch.randn(6), torch.randn(2, 7, 5), torch.randn(2, 7, 6)
    plain = torch.nn.functional.linear(x, weight, bias)
    with torch.inference_mode():
        assert torch.allclose(PackedLinear(weight, bias)(x), plain, atol=1e-5)
        assert torch.allclose(PackedLinear(weight, bias, relu=True)(x), plain.relu(), atol=1e-5)
        assert torch.allclose(PackedLinear(weight, bias)(x, other), plain + other, atol=1e-5)
    weight, bias, x = torch.randn(6, 5, 3, 3), torch.randn(6), torch.randn(2, 5, 8, 8)
    x = x.contiguous(memory_format=torch.channels_last)
    plain = torch.nn.functional.conv2d(x, weight, bias, 2, 1)
    other = torch.randn_like(plain)
    with torch.inference_mode():
        convolution = PackedConv(weight, bias, relu=True, side=8, stride=2, padding=1)
        assert torch.allclose(convolution(x), plain.relu(), atol=1e-5)
        assert torch.allclose(convolution(x, other), (plain + other).relu(), atol=1e-5)
