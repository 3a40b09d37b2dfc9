"""The weights in the package see a cat where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

import referent as rf
from referent.cli.demo import photographs
from referent.segmenter import Segmenter

LEFT, TOP, RIGHT, BOTTOM = 130, 20, 330, 280
"""Of the photograph's 451 x 300 pixels: these are cat, all of them."""


@pytest.fixture(scope="module")
def cat() -> Path:
    pytest.importorskip("skimage")
    return photographs() / "chelsea.png"


def loaded(name: str) -> Segmenter:
    model = rf.load(name, device="cpu")
    assert isinstance(model, Segmenter)
    return model


def covers_the_cat(mask: NDArray[np.bool_]) -> bool:
    background = mask[60:120, 400:]
    return bool(mask[TOP:BOTTOM, LEFT:RIGHT].mean() > 0.9 and background.mean() < 0.1)


@pytest.mark.parametrize("name", ["cris-pocket", "etris-pocket", "magnet-pocket", "unirefpp-pocket"])
def test_by_phrase(name: str, cat: Path) -> None:
    answer = loaded(name).segment(cat, "the cat")
    assert answer.found
    assert covers_the_cat(answer.mask)


def test_by_example(cat: Path) -> None:
    model = loaded("unirefpp-pocket")
    with Image.open(cat) as opened:
        picture = opened.convert("RGB")
    shown = rf.Example(picture, model.segment(picture, "the cat").mask)
    turned = model.segment(ImageOps.mirror(picture), shown)
    assert covers_the_cat(turned.mask[:, ::-1])


def test_in_a_video_by_its_first_mask(cat: Path) -> None:
    model = loaded("unirefpp-pocket")
    with Image.open(cat) as opened:
        picture = opened.convert("RGB")
    tracker = model.track({"cat": None})
    for number in range(3):
        frame = picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 8 * number, 0, 1, 0))
        given = {"cat": model.segment(picture, "the cat").mask} if number == 0 else None
        answer = tracker.step(frame, given)["cat"]
        mask = np.roll(answer.mask, 8 * number, axis=1)
        assert mask[TOP:BOTTOM, LEFT:RIGHT].mean() > 0.85
