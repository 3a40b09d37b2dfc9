"""UniRef++'s augmentation keeps pictures, masks, boxes and phrases true of each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from referent.data.multiscale import MultiScale, Way
from referent.segmentation import box_of

SCALES = {"sizes": (320, 400), "longest": 600}


def marked(height: int = 60, width: int = 90) -> tuple[Image.Image, np.ndarray]:
    """A red rectangle on grey, and its mask."""
    mask = np.zeros((height, width), dtype=bool)
    mask[10:40, 20:50] = True
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[mask] = (220, 0, 0)
    return Image.fromarray(pixels), mask


@given(st.integers(0, 2**32 - 1))
def test_masks_boxes_and_pictures_change_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture, mask = marked()
    way = MultiScale(**SCALES, crop=0.8, before=(80, 100), window=(50, 70)).way((60, 90), [], rng)
    pixels, changed = np.asarray(way.picture(picture)).astype(int), way.mask(mask)
    assert pixels.shape[:2] == changed.shape
    red = (pixels[..., 0] > 170) & (pixels[..., 1] < 70)
    assert (red != changed).mean() < 0.06  # edges are smoothed where a picture is resized
    (box,) = way.boxes(np.array([[20.0, 10.0, 50.0, 40.0]]))
    tight = box_of(changed)
    if tight is None:
        assert min(box[2] - box[0], box[3] - box[1]) < 1
    else:
        assert np.abs(box - np.array(tight)).max() < 1.01


def test_a_crop_has_the_sides_that_were_asked_for() -> None:
    rng = np.random.default_rng(0)
    augment = MultiScale(**SCALES, flip=0, crop=1, before=(400,), window=(384, 600))
    for _ in range(20):
        way = augment.way((300, 600), [], rng)
        assert way.resized == (400, 800)
        height, width = way.window[3] - way.window[1], way.window[2] - way.window[0]
        assert 384 <= height <= 400
        assert 384 <= width <= 600


def test_what_is_smaller_than_a_window_is_kept_whole() -> None:
    way = MultiScale(**SCALES, flip=0, crop=1, before=()).way((60, 90), [], np.random.default_rng(0))
    assert way == Way((60, 90), False, (60, 90), (0, 0, 90, 60))


@pytest.mark.parametrize(("phrase", "cut"), [("the SECOND man", False), ("in seconds", False), ("left man", True)])
def test_ordinal_numbers_forbid_a_crop(phrase: str, cut: bool) -> None:
    augment = MultiScale(**SCALES, crop=1, before=(), window=(20, 30))
    way = augment.way((60, 90), ["a dog", phrase], np.random.default_rng(0))
    assert (way.window != (0, 0, 90, 60)) is cut


def test_phrases_are_mirrored_with_the_picture() -> None:
    picture, mask = marked()
    augment = MultiScale(**SCALES, flip=1, crop=0)
    changed, (own,), phrases = augment(picture, [mask], ["the left one"], np.random.default_rng(0))
    assert phrases == ["the right one"]
    assert own[20, 60]
    assert changed.getpixel((60, 20)) == (220, 0, 0)


@given(st.integers(0, 2**32 - 1))
def test_no_crop_cuts_a_target_away(seed: int) -> None:
    picture, mask = marked()
    corner = np.zeros_like(mask)
    corner[:3, :3] = True
    nothing = np.zeros_like(mask)
    augment = MultiScale(**SCALES, crop=1, before=(), window=(20, 30))
    _, changed, _ = augment(picture, [mask, corner, nothing], [], np.random.default_rng(seed))
    assert [left.any() for left in changed] == [True, True, False]


def test_pictures_that_must_agree_do() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        settled = MultiScale(**SCALES, window=(20, 30), before=()).settled(rng)
        ways = [settled.way((60, 90), [], rng) for _ in range(6)]
        assert len({way.mirrored for way in ways}) == 1
        assert len({way.window == (0, 0, 90, 60) for way in ways}) == 1
        assert len({settled.fit(rng) for _ in range(6)}) == 1


def test_every_size_has_its_turn() -> None:
    rng = np.random.default_rng(0)
    assert {MultiScale(**SCALES).fit(rng) for _ in range(40)} == {(320, 600), (400, 600)}
