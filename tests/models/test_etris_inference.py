"""The inference form of ETRIS answers what ETRIS answers."""

import warnings

import pytest
import torch
from torch import nn

from referent.encoders.clip_config import CLIPResNetConfig
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig
from referent.layers.winograd import WinogradConv
from referent.models.base import Batch
from referent.models.etris import ETRIS, ETRISConfig
from referent.models.etris.bridger_inference import FastZoom
from referent.models.etris.config import NeckConfig
from referent.models.etris.inference import ETRISInference
from referent.models.etris.zoom import Way, zoom

from .test_etris import RESNET_PLACES, VIT, VIT_BRIDGER, narrow
from .test_etris import TestETRIS as Cases

PAPERS_VIT = narrow(
    {"places": VIT_BRIDGER.places, "zoom_norm": True},
    image=VIT,
    text=Cases.configurations["vit"].text,
    neck=NeckConfig(stages=(0, 1, 2), width=16, heads=2),
)
WIDE = narrow(  # wide enough for Winograd to be chosen
    image=CLIPResNetConfig(blocks=(1, 2, 1, 1), width=16, embed=24, grid=2),
    neck=NeckConfig(width=256, heads=2),
    decoder=DecoderConfig(layers=1, heads=4, feedforward=64),
    projector=ProjectorConfig(hidden=256, width=128, detail=True),
    presence=True,
)


def model(config: ETRISConfig) -> ETRIS:
    torch.manual_seed(0)
    made = ETRIS(config)
    for module in made.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_(-0.1, 0.1)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    return made.eval()


@pytest.mark.parametrize("config", [*Cases.configurations.values(), PAPERS_VIT], ids=[*Cases.configurations, "paper's"])
def test_it_answers_the_same(config: ETRISConfig) -> None:
    etris, batch = model(config), Cases().batch(2, 5)
    with torch.no_grad():
        expected, found = etris(batch), etris.for_inference()(batch)
    assert torch.allclose(found.logits, expected.logits, atol=1e-4)
    if expected.presence is not None:
        assert torch.allclose(found.presence, expected.presence, atol=1e-4)


@pytest.mark.parametrize("sides", [(64, 64), (96, 64)])
def test_it_answers_the_same_where_winograd_is_used(sides: tuple[int, int]) -> None:
    etris = model(WIDE)
    form = ETRISInference(etris, size=832)  # as if for large pictures, so that Winograd is chosen
    assert isinstance(form.neck.settle, WinogradConv)
    batch = Batch(torch.randn(2, 3, *sides), Cases().batch(2, 3).tokens, torch.tensor([1, 0, 1]))
    with torch.no_grad():
        expected, found = etris(batch), form(batch)
    assert torch.allclose(found.logits, expected.logits, atol=2e-4)
    assert torch.allclose(found.presence, expected.presence, atol=2e-4)


def test_a_vit_on_another_size_answers_the_same_and_says_what_it_resized() -> None:
    etris, tokens = model(Cases.configurations["vit"]), Cases().batch(2, 2).tokens
    batch = Batch.paired(torch.randn(2, 3, 64, 96), tokens)
    with torch.no_grad(), warnings.catch_warnings(action="ignore"):
        expected = etris(batch).logits
    with pytest.warns(UserWarning, match=r"stem\.positions"):
        assert torch.allclose(etris.for_inference()(batch).logits, expected, atol=1e-4)


@pytest.mark.parametrize("config", [WIDE, PAPERS_VIT, Cases.configurations["vit"], Cases.configurations["pocket"]])
def test_half_precision_answers_nearly_the_same(config: ETRISConfig) -> None:
    etris, batch = model(config), Cases().batch(1, 2)
    with torch.no_grad():
        expected, found = etris(batch), etris.for_inference(torch.bfloat16)(batch)
    assert found.logits.dtype == torch.float32
    assert (found.logits - expected.logits).abs().max() < 0.05 * expected.logits.abs().max() + 0.05


def test_it_does_not_depend_on_the_order_or_company_of_phrases() -> None:
    form = ETRISInference(model(Cases.configurations["resnet"]))
    batch = Cases().batch(1, 6)
    sight = form.look_at(batch.image)
    together = form.answer(sight, batch).logits
    for row in range(6):
        alone = form.answer(sight, Batch(batch.image, batch.tokens[row : row + 1], torch.zeros(1).long())).logits
        assert torch.allclose(alone[0], together[row], atol=1e-4)


def test_text_layers_before_the_first_bridger_read_a_phrase_once_for_all_pictures() -> None:
    etris = model(Cases.configurations["resnet"])
    form, batch = ETRISInference(etris), Cases().batch(3, 3)
    same = Batch(batch.image, batch.tokens[[0, 1, 0]], batch.picture)
    read: list[int] = []
    for layer in form.text_encoder.layers:
        layer.register_forward_hook(lambda _, given, __: read.append(len(given[0])))
    with torch.no_grad():
        assert torch.allclose(form(same).logits, etris(same).logits, atol=1e-4)
    before = RESNET_PLACES[0][1]
    assert read == [2] * before + [3] * (len(form.text_encoder.layers) - before)


def test_it_reads_padding_where_the_model_does() -> None:
    for name in ("resnet", "without Bridgers"):
        etris = model(Cases.configurations[name])
        assert ETRISInference(etris).reads_padding is etris.reads_padding


def test_it_cannot_train() -> None:
    form = ETRISInference(model(Cases.configurations["resnet"]))
    batch = Cases().batch(1, 2)
    with pytest.raises(NotImplementedError, match="cannot train"):
        form.losses(batch, form(batch))


@pytest.mark.parametrize("learned", [True, False])
@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(("way", "ratio"), [("shrink", 1), ("shrink", 2), ("enlarge", 1), ("enlarge", 2)])
def test_a_fast_zoom_is_the_zoom(way: Way, ratio: int, learned: bool, norm: bool) -> None:
    torch.manual_seed(0)
    layers = zoom(5, 6, way, ratio, learned=learned, norm=norm).eval()
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.weight, -1, 1)
    x = torch.randn(2, 5, 4, 6)
    with torch.no_grad():
        found = FastZoom(layers, 4, torch.float32)(x.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(found, layers(x), atol=1e-5)
