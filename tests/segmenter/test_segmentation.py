from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

import referent as rf
from referent.drawing import COLOURS, _grown
from referent.reference import Reference
from referent.rle import decode
from referent.segmentation import Segmentation, box_of
from referent.segmenter import Segmenter

Paint = Callable[..., Image.Image]


def made(mask: np.ndarray, phrase: str = "it", score: float = 0.8, found: bool = True) -> Segmentation:
    return Segmentation(
        mask=mask,
        probability=mask.astype(np.float32),
        box=box_of(mask) if found else None,
        score=score,
        found=found,
        reference=Reference.of(phrase),
        model="test",
        picture=Image.new("RGB", mask.shape[::-1], (90, 90, 90)),
    )


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_the_box_is_the_smallest_around_the_mask(mask: np.ndarray) -> None:
    points = np.argwhere(mask)
    if not len(points):
        assert box_of(mask) is None
        return
    (y0, x0), (y1, x1) = points.min(0), points.max(0)
    assert box_of(mask) == (x0, y0, x1 + 1, y1 + 1)


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_coco_holds_the_mask_itself(mask: np.ndarray) -> None:
    coco = made(mask, found=bool(mask.any())).to_coco()
    assert (decode(coco["segmentation"]) == mask).all()
    assert coco["area"] == mask.sum()
    box = box_of(mask) or (0, 0, 0, 0)
    assert coco["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    json.dumps(coco)


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.integers(0, 11))
def test_an_outline_reaches_as_far_as_it_is_thick(mask: np.ndarray, radius: int) -> None:
    grown = _grown(mask, radius)
    for y, x in np.ndindex(*mask.shape):
        near = mask[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        assert grown[y, x] == near.any()


def test_the_saved_mask_is_the_mask(colours: Segmenter, photo: Path, tmp_path: Path) -> None:
    answer = colours.segment(photo, "red")
    answer.save(tmp_path / "mask.png")
    with Image.open(tmp_path / "mask.png") as saved:
        assert saved.mode == "L"
        pixels = np.asarray(saved)
    assert set(np.unique(pixels)) == {0, 255}
    assert ((pixels > 0) == answer.mask).all()


def test_a_mask_is_saved_in_the_users_home(
    colours: Segmenter, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    colours.segment(photo, "red").save("~/mask.png")
    assert (tmp_path / "mask.png").is_file()


def test_json_tells_all_but_the_pixels(colours: Segmenter, photo: Path) -> None:
    answer = colours.segment(photo, "green")
    content = json.loads(json.dumps(answer.to_json()))
    assert content["phrase"] == "green"
    assert content["model"] == "colours"
    assert content["found"] is False
    assert content["box"] is None
    assert content["area"] == 0


def test_supervision_gets_one_detection_or_none(colours: Segmenter, photo: Path, red_box: tuple[int, ...]) -> None:
    pytest.importorskip("supervision")
    found, missing = colours.segment(photo, ["red", "green"])
    detections = found.to_supervision()
    assert detections.xyxy.tolist() == [list(red_box)]
    assert (detections.mask[0] == found.mask).all()
    assert detections.confidence[0] == pytest.approx(found.score)
    assert detections.data["class_name"].tolist() == ["red"]
    assert len(missing.to_supervision()) == 0


def test_the_overlay_colours_the_mask_and_leaves_the_rest(colours: Segmenter, paint: Paint) -> None:
    picture = paint(width=400, height=300)
    look = colours.segment(picture, "red").overlay()
    assert look.size == picture.size
    assert picture.getpixel((30, 50)) != look.getpixel((30, 50))
    assert picture.getpixel((390, 290)) == look.getpixel((390, 290))


def test_several_answers_on_one_picture_get_distinct_colours() -> None:
    masks = [np.zeros((300, 400), bool) for _ in range(3)]
    for index, mask in enumerate(masks):
        mask[100:200, 20 + 120 * index : 120 + 120 * index] = True
    answers = [made(mask, f"thing {index}") for index, mask in enumerate(masks)]
    look = rf.overlay(answers[0].picture, answers)
    inside = {look.getpixel((70 + 120 * index, 150)) for index in range(3)}
    assert len(inside) == 3
    outlines = [look.getpixel((19 + 120 * index, 150)) for index in range(3)]
    assert outlines == list(COLOURS[:3])


def test_what_was_not_found_is_named_but_not_drawn() -> None:
    mask = np.zeros((300, 400), bool)
    mask[100:200, 100:200] = True
    answer = made(mask, "a unicorn", score=0.03, found=False)
    look = np.asarray(answer.overlay())
    assert (look[:250] == 90).all()
    assert (look[250:] != 90).any()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (40, 2000)])
def test_a_picture_of_any_size_can_be_drawn_on(size: tuple[int, int]) -> None:
    mask = np.ones(size, bool)
    answers = [made(mask, "the thing with quite a long description " * 5), made(mask), made(mask, found=False)]
    assert rf.overlay(answers[0].picture, answers).size == size[::-1]


@pytest.mark.parametrize("phrase", ["🚗 🚗", "красная\nмашина", "红色的车", "a\tb"])
def test_a_phrase_in_any_script_can_be_drawn(phrase: str) -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:50] = True
    made(mask, phrase).overlay()


def test_an_overlay_on_another_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="the picture is 10 x 20, the mask of 'it' 4 x 3"):
        rf.overlay(Image.new("RGB", (10, 20)), [made(np.ones((3, 4), bool))])


def test_the_repr_fits_on_a_line() -> None:
    assert repr(made(np.ones((3, 4), bool), "the cat")) == (
        "<Segmentation of 'the cat' by test: found at (0, 0, 4, 3), score 0.80>"
    )
