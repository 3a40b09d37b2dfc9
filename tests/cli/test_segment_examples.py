from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from example_colours import shown_colours
from PIL import Image

from referent.errors import BadReferenceError
from referent.reference import Example, Reference
from referent.segmentation import drawn_example, label_of
from referent.zoo import Row


@pytest.fixture
def zoo(monkeypatch):
    """The command line loads a model that finds the colour of examples, and remembers what it was called."""
    model = shown_colours()
    model.asked_for = []

    def load(name, device=None, dtype=None, clip=None):
        model.asked_for.append(name)
        return model

    monkeypatch.setattr("referent.segmenter.load", load)
    return model


@pytest.fixture
def shown(tmp_path: Path, paint) -> tuple[Path, Path]:
    """A picture with a blue square elsewhere, and a mask of it; both names hold colons and commas."""
    picture, mask = tmp_path / "C: a,support.png", tmp_path / "mask:1,2.png"
    image = Image.new("RGB", (60, 50), "black")
    image.paste((0, 0, 250), (10, 10, 30, 30))
    image.save(picture)
    inside = np.zeros((50, 60), dtype=np.uint8)
    inside[10:30, 10:30] = 1
    Image.fromarray(inside).save(mask)
    return picture, mask


def paint_mask(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values.astype(np.uint8)).save(path)
    return path


def test_what_an_example_shows_is_found_in_another_picture(run, zoo, photo, shown, tmp_path):
    out = tmp_path / "out"
    ended = run("segment", photo, "--example", shown[0], "--mask", shown[1], "--out", out, "--model", "mine")
    assert (ended.code, ended.err) == (0, "")
    assert {path.name for path in out.iterdir()} == {
        "street.overlay.png",
        "street.sheet.png",
        "street.example-C-a-support-png.png",
        "segmentations.json",
    }
    assert "box 80,30,110,70" in ended.out
    content = json.loads((out / "segmentations.json").read_text())
    (asked,) = content["phrases"]
    assert asked["phrase"] == "example C: a,support.png"
    assert asked["examples"] == [{"picture": str(shown[0]), "mask": str(shown[1])}]
    assert content["annotations"][0]["bbox"] == [80, 30, 30, 40]
    assert content["images"][0]["sheet"] == str(out / "street.sheet.png")
    assert zoo.asked_for == ["mine"]


def test_several_examples_are_one_question_and_each_is_encoded_and_drawn_once_for_all_pictures(
    run, zoo, monkeypatch, photo, shown, tmp_path
):
    drawn = []

    def drawing(example):
        drawn.append(example)
        return drawn_example(example)

    monkeypatch.setattr("referent.segmentation.drawn_example", drawing)
    other = tmp_path / "red.png"
    Image.new("RGB", (60, 50), (250, 0, 0)).save(other)
    whole = paint_mask(tmp_path / "whole.png", np.ones((50, 60)))
    Image.open(photo).save(tmp_path / "second.png")
    pairs = ("--example", shown[0], "--mask", shown[1], "--example", other, "--mask", whole)
    ended = run("segment", photo, tmp_path / "second.png", *pairs, "--json", "-o", tmp_path / "out")
    asked = json.loads(ended.out)["phrases"]
    assert [one["phrase"] for one in asked] == ["2 examples", "2 examples"]
    assert len(asked[0]["examples"]) == 2
    assert (zoo.model.studied, len(drawn)) == (2, 2)
    assert len(list((tmp_path / "out").glob("*.sheet.png"))) == 2


def test_a_phrase_beside_an_example_asks_with_both(run, zoo, photo, shown, tmp_path):
    pair = ("--example", shown[0], "--mask", shown[1], "--json", "-o", tmp_path / "out")
    asked = json.loads(run("segment", photo, "-p", "the blue car", "-p", "the sky", *pair).out)["phrases"]
    assert [one["phrase"] for one in asked] == ["the blue car", "the sky"]
    assert all(one["found"] and len(one["examples"]) == 1 for one in asked)


def test_a_small_picture_in_which_nothing_is_found_is_told_as_for_phrases(run, zoo, shown, tmp_path):
    small = tmp_path / "small.png"
    Image.new("RGB", (17, 9), "black").save(small)
    ended = run("segment", small, "--example", shown[0], "--mask", shown[1], "-o", tmp_path / "out")
    assert (ended.code, ended.err) == (0, "")
    assert "not found" in ended.out
    content = json.loads((tmp_path / "out" / "segmentations.json").read_text())
    assert (content["phrases"][0]["found"], content["annotations"]) == (False, [])
    with Image.open(tmp_path / "out" / "small.sheet.png") as sheet:
        assert sheet.height == 9


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((50, 60)), r"expected a mask of something, found an empty one (MASK)"),
        (np.ones((60, 50)), r"MASK: expected a mask of 50 x 60 (height x width) as its picture, found 60 x 50"),
        (np.arange(3000).reshape(50, 60) % 200, r"MASK: expected a mask of two values, found 200"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused_before_a_model_is_loaded(
    run, zoo, photo, shown, tmp_path, values, said
):
    mask = paint_mask(tmp_path / "bad.png", values)
    ended = run("segment", photo, "--example", shown[0], "--mask", mask, "-o", tmp_path / "out")
    assert ended.code == 2
    assert said.replace("MASK", str(mask)) in ended.err
    assert zoo.asked_for == []
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_read_are_named(run, zoo, photo, shown, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for picture, mask in ((broken, shown[1]), (shown[0], broken), (tmp_path / "gone.png", shown[1])):
        ended = run("segment", photo, "--example", picture, "--mask", mask)
        assert ended.code == 2
        assert ("broken.png" in ended.err) or ("gone.png: no such file" in ended.err)


def test_examples_and_masks_come_in_pairs_and_something_must_be_asked(run, zoo, photo, shown):
    ended = run("segment", photo, "--example", shown[0])
    assert ended.code == 2
    assert "expected one for each --example, found 0 for 1" in ended.err
    ended = run("segment", photo)
    assert ended.code == 2
    assert "found neither" in ended.err


@pytest.mark.usefixtures("colour_zoo")
def test_a_model_of_phrases_says_which_models_take_examples(run, photo, shown, tmp_path):
    ended = run("segment", photo, "--example", shown[0], "--mask", shown[1], "-o", tmp_path / "out")
    assert ended.code == 2
    assert "colours takes phrases; for an example use unirefpp" in ended.err
    assert not (tmp_path / "out").exists()


def test_a_model_trained_without_text_says_which_models_take_phrases(run, monkeypatch, photo, shown):
    monkeypatch.setattr("referent.segmenter.load", lambda *_, **__: shown_colours(phrases=False))
    ended = run("segment", photo, "-p", "a car")
    assert ended.code == 2
    assert "shown-colours takes examples; for a phrase use cris-pocket" in ended.err
    assert run("segment", photo, "-p", "a car", "--example", shown[0], "--mask", shown[1]).code == 2


def test_without_a_name_examples_go_to_the_first_packaged_model_that_takes_them(
    run, zoo, monkeypatch, photo, shown, tmp_path
):
    def row(name, takes, packaged):
        return Row(name, "cris", takes, (), None, "", "", packaged)

    rows = [
        row("words", ("phrase",), "words.safetensors"),
        row("elsewhere", ("phrase", "example"), None),
        row("both", ("phrase", "example"), "both.safetensors"),
    ]
    monkeypatch.setattr("referent.zoo.list_models", lambda: rows)
    pair = ("--example", shown[0], "--mask", shown[1], "-o", tmp_path / "out")
    run("segment", photo, *pair)
    run("segment", photo, "-p", "red", *pair)
    run("segment", photo, "-p", "red", "-o", tmp_path / "out")
    monkeypatch.setattr("referent.zoo.list_models", lambda: rows[:2])
    run("segment", photo, *pair)
    assert zoo.asked_for == ["both", "both", "cris-pocket", "cris-pocket"]


def test_examples_stand_beside_the_answer_on_a_sheet(zoo, photo, shown):
    answer = zoo.segment(photo, [Example(*shown)])
    sheet = np.asarray(answer.sheet())
    overlay = np.asarray(answer.overlay())
    assert np.array_equal(sheet[:, -overlay.shape[1] :], overlay)
    # The example is as high as the answer, its object painted in the answer's colour.
    left = sheet[:, : -overlay.shape[1]]
    assert left.shape[:2] == (96, round(60 * 96 / 50) + 2)
    inside, outside = left[45:52, 35:45].mean((0, 1)), left[90, 90]
    assert inside[0] > 60
    assert not outside.any()
    many = zoo.segment(photo, [Example(*shown) for _ in range(5)])
    assert many.sheet().height == 96
    phrase = zoo.segment(photo, "red")
    assert np.array_equal(np.asarray(phrase.sheet()), np.asarray(phrase.overlay()))


def test_a_reference_is_called_by_its_phrase_its_file_or_its_number_of_examples(shown):
    one = Example(*shown)
    assert label_of(Reference.of("the  red\ncar")) == "the red car"
    assert label_of(Reference.of(one)) == "example C: a,support.png"
    assert label_of(Reference.of([one, one])) == "2 examples"
    assert label_of(Reference(Reference.of("a car").phrase, (one,))) == "a car + example C: a,support.png"
    assert label_of(Reference.of(Example(b"...", shown[1]))) == "an example"


def test_an_empty_mask_in_python_is_an_error_that_names_example_and_mask(zoo, photo, shown, tmp_path):
    mask = paint_mask(tmp_path / "empty.png", np.zeros((50, 60)))
    with pytest.raises(BadReferenceError, match=r"support\.png: expected a mask of something.*empty\.png"):
        zoo.segment(photo, Example(shown[0], mask))
