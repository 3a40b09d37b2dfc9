"""Squashing as LAVT and MagNet do it, and back."""

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from referent.data.squash import Squash
from referent.preparation import Preparation


def test_a_picture_is_resized_by_pil_whatever_its_proportions() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    squashed = Squash((50, 90), 32).picture(pixels, (1, 2, 3))
    expected = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(squashed.permute(1, 2, 0).numpy(), expected)


def test_a_mask_takes_the_nearest_pixel() -> None:
    mask = np.zeros((40, 80), dtype=bool)
    mask[:20, 40:] = True
    squashed = Squash((40, 80), 20).mask(mask)
    assert squashed.unique().tolist() == [0, 1]
    assert squashed[:10, 10:].all()
    assert squashed.sum() == 100


@pytest.mark.parametrize("original", [(40, 80), (7, 5), (1, 300)])
def test_what_is_squashed_comes_back_to_its_place(original: tuple[int, int]) -> None:
    mask = np.zeros(original, dtype=bool)
    mask[: (original[0] + 1) // 2, : (original[1] + 1) // 2] = True
    fitted = Squash(original, 64)
    restored = fitted.restore(fitted.mask(mask)[None, None])[0]
    assert restored.shape == original
    assert ((restored > 0.5).numpy() != mask).mean() < 0.06


def test_preparation_squashes_where_it_is_told_to() -> None:
    preparation = Preparation.model_validate({"size": 32, "fit": "squash", "mean": (0, 0, 0), "std": (1, 1, 1)})
    white = Image.new("RGB", (90, 50), "white")
    assert preparation.geometry == "squash 32"
    assert preparation.picture(white).unique().tolist() == [1]
    assert preparation.mask(np.ones((50, 90), dtype=bool)).unique().tolist() == [1]
    assert preparation.restore(torch.ones(1, 1, 8, 8), (50, 90)).min() == 1


@pytest.mark.parametrize(
    "settings", [{"tokenizer": "bert"}, {"vocabulary": ["[PAD]"]}, {"fit": "stretch"}, {"tokenizer": "t5"}]
)
def test_an_impossible_choice_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preparation.model_validate(settings)
