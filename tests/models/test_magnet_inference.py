"""The inference form of MagNet answers what MagNet answers."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from referent.encoders.swin import Swin, SwinConfig
from referent.encoders.swin_inference import FastSwin
from referent.models.base import Batch
from referent.models.magnet import MagNet, MagNetConfig
from referent.models.magnet.inference import MagNetInference

from .test_magnet import PYRAMID, TINY
from .test_magnet import TestMagNet as Cases


def model(config: MagNetConfig) -> MagNet:
    """With weights under which places, gates and offsets count."""
    torch.manual_seed(0)
    made = MagNet(config)
    for name, parameter in made.named_parameters():
        if parameter.dim() > 1 and ("alignments" in name or "position_bias" in name or "attention." in name):
            nn.init.normal_(parameter, std=0.2)
    return made.eval()


def batch(height: int = 64, width: int = 64, references: int = 5) -> Batch:
    given = Cases().batch(2, references)
    return replace(given, image=torch.randn(2, 3, height, width), target=None)


CONFIGURATIONS = [*Cases.configurations.values(), MagNetConfig(**{**TINY, "pixel_decoder": PYRAMID})]


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=[*Cases.configurations, "pyramid"])
@pytest.mark.parametrize("sides", [(64, 64), (100, 72)])
def test_it_answers_the_same(config: MagNetConfig, sides: tuple[int, int]) -> None:
    magnet, given = model(config), batch(*sides)
    with torch.no_grad():
        expected, found = magnet(given), magnet.for_inference()(given)
    assert expected.logits.std() > 0.01
    assert torch.allclose(found.logits, expected.logits, atol=1e-4)
    if expected.presence is not None:
        assert torch.allclose(found.presence, expected.presence, atol=1e-4)


def test_open_gates_of_the_released_language_side_are_run() -> None:
    magnet = model(MagNetConfig(**TINY, module="released", grounding="none"))
    assert magnet.language_is_read
    given = batch()
    full = replace(given, tokens=given.tokens.where(given.tokens != 0, 7))  # where padding is chaotic
    with torch.no_grad():
        assert torch.allclose(magnet.for_inference()(full).logits, magnet(full).logits, atol=1e-3)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (16, 9), (3, 2)])
def test_swin_in_windows_gathered_once_gives_the_same_maps(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    swin = Swin(SwinConfig(width=8, depths=(2, 2), heads=(2, 2), window=4, drop_path=0)).eval()
    for parameter in swin.parameters():
        nn.init.normal_(parameter, std=0.3)
    image = torch.randn(3, 3, 4 * size[0], 4 * size[1])
    fast = FastSwin(swin, torch.float32)
    with torch.no_grad():
        for _ in range(2):  # the second time with what it remembers of the size
            for found, expected in zip(fast(image), swin(image), strict=True):
                assert torch.allclose(found, expected, atol=1e-4)


def test_hidden_words_can_be_guessed_by_the_form() -> None:
    magnet, given = model(Cases.configurations["paper"]), batch(references=2)
    asked = replace(given, target=torch.ones(2, 1, 64, 64))
    hidden = torch.zeros_like(given.tokens, dtype=torch.bool)
    hidden[:, 1] = True

    def guessed(one: MagNet) -> Tensor:
        return one.guess(one.look_at(asked.image), asked, hidden)

    form = magnet.for_inference()
    assert isinstance(form, MagNetInference)
    with torch.no_grad():
        assert torch.allclose(guessed(form), guessed(magnet), atol=1e-4)


def test_half_precision_answers_nearly_the_same() -> None:
    magnet, given = model(Cases.configurations["paper"]), batch()
    with torch.no_grad():
        expected, found = magnet(given).logits, magnet.for_inference(torch.bfloat16)(given).logits
    assert (found - expected).abs().mean() < 0.05 * expected.abs().mean() + 0.05
