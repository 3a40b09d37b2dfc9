"""Pictures, masks and phrases to a model's tensors, and maps back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from referent.data.letterbox import Letterbox
from referent.preparation import Preparation


def test_the_defaults_are_those_of_the_published_cris() -> None:
    preparation = Preparation()
    assert (preparation.size, preparation.context_length, preparation.threshold) == (416, 17, 0.35)
    # The official border is CLIP's mean times 255, cut to whole numbers by OpenCV's rounding.
    assert preparation.border == tuple(round(mean * 255) for mean in preparation.mean)


def test_a_picture_is_letterboxed_and_normalised() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    preparation = Preparation(size=64)
    tensor = preparation.picture(Image.fromarray(pixels))
    warped = Letterbox((30, 50), 64).picture(pixels, preparation.border)
    mean, std = torch.tensor(preparation.mean)[:, None, None], torch.tensor(preparation.std)[:, None, None]
    assert tensor.shape == (3, 64, 64)
    assert tensor.dtype == torch.float32
    assert torch.allclose(tensor, (warped / 255 - mean) / std, atol=1e-5)
    assert tensor[:, 0, 0].abs().max() < 0.01  # the border is the mean


def test_a_mask_is_letterboxed() -> None:
    mask = np.ones((30, 60), dtype=bool)
    tensor = Preparation(size=64).mask(mask)
    assert tensor.shape == (1, 64, 64)
    assert tensor[0, 32, 32] == 1
    assert tensor[0, 0].max() == 0


def test_what_a_mask_covers_comes_back_where_it_was() -> None:
    mask = np.zeros((90, 60), dtype=bool)
    mask[10:40, 20:50] = True
    preparation = Preparation(size=256)
    restored = preparation.restore(preparation.mask(mask)[None], (90, 60))
    assert isinstance(restored, np.ndarray)
    assert restored.shape == (1, 90, 60)
    assert restored.dtype == np.float32
    assert ((restored[0] > 0.5) == mask).all()


def test_reading_inside_inference_mode_does_not_spoil_later_training() -> None:
    preparation, picture = Preparation(size=48), Image.new("RGB", (37, 53))
    maps = torch.rand(1, 1, 12, 12, requires_grad=True)
    with torch.inference_mode():
        preparation.picture(picture)
        preparation.restore(maps, (53, 37))
    image = preparation.picture(picture).requires_grad_()
    (image.sum() + Letterbox((53, 37), 48).restore(maps).sum()).backward()
    assert image.grad is not None
    assert maps.grad is not None


def test_phrases_become_padded_tokens() -> None:
    tokens = Preparation(context_length=6).tokens(["the cat", "a man in a red shirt on the left"])
    assert tokens.shape == (2, 6)
    assert tokens.dtype == torch.int64
    assert tokens[0].tolist() == [49406, 518, 2368, 49407, 0, 0]
    assert tokens[1, -1] == 49407


def test_a_phrase_longer_than_the_window_is_known() -> None:
    preparation = Preparation(context_length=6)
    assert not preparation.truncated("one two three four")
    assert preparation.truncated("one two three four five")


def test_it_survives_json() -> None:
    preparation = Preparation(size=288, threshold=0.5)
    assert Preparation.model_validate(json.loads(preparation.model_dump_json())) == preparation


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"border": (300, 0, 0)},
        {"std": (0.0, 1.0, 1.0)},
        {"context_length": 2},
        {"threshold": 1.0},
        {"tokenizer": "bert"},
        {"sise": 416},
        {"frames": (256, 384)},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Preparation(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("fit", ["letterbox", "squash"])
def test_boxes_go_into_the_square_as_their_masks_do_and_come_back(fit):
    preparation = Preparation(size=100, fit=fit)
    size, box = (40, 80), torch.tensor([[20.0, 8.0, 60.0, 32.0]])
    mask = np.zeros(size, bool)
    mask[8:32, 20:60] = True
    inside = preparation.boxes(box, size)
    y, x = (preparation.mask(mask)[0] > 0.5).nonzero().unbind(1)
    around = torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1))
    assert (inside[0] - around).abs().max() <= 1
    torch.testing.assert_close(preparation.restore_boxes(inside, size), box)
    beyond = preparation.restore_boxes(torch.tensor([[-500.0, -500.0, 500.0, 500.0]]), size)
    assert beyond.tolist() == [[0, 0, 80, 40]]


def test_cleaned_phrases_are_read_as_unirefpp_reads_them() -> None:
    plain, clean = (Preparation(clean=clean) for clean in (False, True))
    said = "The well-known \"left/right\" man's (3rd) dog, #2: isn't it?!"
    meant = "the well known left right mans 3rd dog 2 isnt it"
    assert torch.equal(clean.tokens([said]), plain.tokens([meant]))
    assert not torch.equal(plain.tokens([said]), plain.tokens([meant]))
