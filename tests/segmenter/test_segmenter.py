from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from example_colours import shown_colours
from PIL import Image

import referent as rf
from referent.data.sample import Sample
from referent.engine import CHUNK, warn_of_emulated_bf16
from referent.errors import BadReferenceError, PictureError, ReferentError
from referent.segmenter import Failure, Segmenter

Paint = Callable[..., Image.Image]


def test_a_phrase_gives_mask_probability_box_and_score_at_the_pictures_own_size(
    colours: Segmenter, paint: Paint, red_box: tuple[int, ...]
) -> None:
    answer = colours.segment(paint(), "the red car")
    assert answer.mask.shape == answer.probability.shape == (96, 128)
    assert answer.mask.dtype == bool
    assert answer.probability.dtype == np.float32
    assert answer.box == red_box
    assert answer.found
    assert answer.score > 0.9
    assert str(answer.reference) == "the red car"
    assert answer.model == "colours"


def test_a_larger_picture_is_answered_at_its_own_size(colours: Segmenter, paint: Paint) -> None:
    big = paint().resize((512, 384), Image.Resampling.NEAREST)
    answer = colours.segment(big, "red")
    assert answer.mask.shape == (384, 512)
    assert answer.box == pytest.approx((64, 96, 192, 256), abs=4)


def test_a_list_of_phrases_gives_a_list_in_the_same_order(colours: Segmenter, photo: Path) -> None:
    phrases = ["blue", "red", "green"]
    together = colours.segment(photo, phrases)
    alone = [colours.segment(photo, phrase) for phrase in phrases]
    assert [str(answer.reference) for answer in together] == phrases
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-6)
    assert colours.segment(photo, []) == []


@pytest.mark.parametrize("form", ["path", "text", "bytes", "pil", "array"])
def test_a_picture_may_come_in_any_form(colours: Segmenter, photo: Path, red_box: tuple[int, ...], form: str) -> None:
    with Image.open(photo) as image:
        image.load()
    forms = {"path": photo, "text": str(photo), "bytes": photo.read_bytes(), "pil": image, "array": np.asarray(image)}
    assert colours.segment(forms[form], "red").box == red_box


def test_a_turned_photograph_is_turned_once(colours: Segmenter, paint: Paint, tmp_path: Path) -> None:
    on_its_side = paint().transpose(Image.Transpose.ROTATE_90)
    on_its_side.getexif()[0x0112] = 6
    on_its_side.save(tmp_path / "turned.png", exif=on_its_side.getexif())
    answer = colours.segment(tmp_path / "turned.png", "red")
    assert answer.mask.shape == (96, 128)
    assert answer.overlay().size == answer.picture.size == (128, 96)
    assert colours.segment(answer.picture, "red").box == answer.box


def test_what_is_true_of_nothing_is_not_found(colours: Segmenter, sure_colours: Segmenter, photo: Path) -> None:
    for segmenter in (colours, sure_colours):
        answer = segmenter.segment(photo, "green")
        assert not answer.found
        assert answer.box is None
        assert answer.score < 0.1


def test_the_presence_head_decides_where_there_is_one(sure_colours: Segmenter, photo: Path) -> None:
    sure_colours.presence_threshold = 1.1
    answer = sure_colours.segment(photo, "red")
    assert answer.mask.any()
    assert not answer.found
    assert answer.box is None


def test_a_picture_is_encoded_once_and_asked_many_times(colours: Segmenter, photo: Path) -> None:
    look = colours.look_at(photo)
    first = look.segment("red")
    more = look.segment(["blue", "green"])
    assert colours.model.encoded == [1]
    assert first.found
    assert [answer.found for answer in more] == [True, False]


def test_a_file_asked_again_is_not_encoded_again_unless_it_has_changed(
    colours: Segmenter, photo: Path, paint: Paint
) -> None:
    colours.segment(photo, "red")
    colours.segment(str(photo), "blue")
    assert len(colours.model.encoded) == 1
    paint(red=(60, 60, 75, 90)).save(photo, compress_level=0)
    assert colours.segment(photo, "red").box == (60, 60, 75, 90)
    assert len(colours.model.encoded) == 2


def test_the_memory_of_pictures_is_bounded_in_bytes(colours: Segmenter, photo: Path, tmp_path: Path) -> None:
    one = colours.look_at(photo).nbytes
    small = Segmenter(colours.model, colours.preparation, device="cpu", cache_bytes=2 * one)
    for name in "abc":
        (tmp_path / name).write_bytes(photo.read_bytes())
        small.segment(tmp_path / name, "red")
    assert small._looks.held <= 2 * one
    colours.model.encoded.clear()
    small.segment(tmp_path / "c", "red")
    assert colours.model.encoded == []
    small.segment(tmp_path / "a", "red")
    assert colours.model.encoded == [1]


def test_no_memory_of_pictures_when_it_is_turned_off(colours: Segmenter, photo: Path) -> None:
    forgetful = Segmenter(colours.model, colours.preparation, device="cpu", cache_bytes=0)
    forgetful.segment(photo, "red")
    forgetful.segment(photo, "red")
    assert colours.model.encoded == [1, 1]


def test_many_phrases_are_asked_in_passes_of_bounded_size(colours: Segmenter, photo: Path) -> None:
    phrases = [("red", "blue", "green")[index % 3] + f" {index}" for index in range(2 * CHUNK + 3)]
    answers = colours.segment(photo, phrases)
    assert [str(answer.reference) for answer in answers] == phrases
    assert [answer.found for answer in answers] == [index % 3 < 2 for index in range(len(phrases))]
    assert colours.model.asked == [CHUNK, CHUNK, 3]


def test_a_huge_picture_is_restored_in_pieces_that_fit(
    colours: Segmenter, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [answer.box for answer in colours.segment(photo, ["red", "blue", "green", "red"])]
    monkeypatch.setattr("referent.segmenter.RESTORED_AT_ONCE", 96 * 128 * 3)
    assert [answer.box for answer in colours.segment(photo, ["red", "blue", "green", "red"])] == expected


def test_many_pictures_keep_their_order_and_one_bad_file_does_not_end_the_run(
    colours: Segmenter, paint: Paint, tmp_path: Path
) -> None:
    paths = []
    for index in range(7):
        path = tmp_path / f"{index}.png"
        paint(red=(index, 5, index + 20, 25)).save(path)
        paths.append(path)
    paths[2] = tmp_path / "missing.png"
    paths[5].write_bytes(paths[5].read_bytes()[:90])
    answers = list(colours.segment_many(paths, "red", batch_size=3))
    assert [isinstance(answer, Failure) for answer in answers] == [False, False, True, False, False, True, False]
    assert [answer.box[0] for answer in answers if not isinstance(answer, Failure)] == [0, 1, 3, 4, 6]
    assert answers[2].picture == paths[2]
    assert isinstance(answers[2].error, PictureError)
    assert "missing.png" in str(answers[2].error)
    assert "5.png" in str(answers[5].error)
    assert colours.model.encoded == [2, 2, 1]


def test_pictures_of_a_batch_may_differ_in_size_and_in_what_is_asked(colours: Segmenter, paint: Paint) -> None:
    pictures = [paint(), paint(width=240, height=200)]
    one, two = colours.segment_many(pictures, [["red", "green"], "blue"])
    assert [answer.found for answer in one] == [True, False]
    assert two.mask.shape == (200, 240)
    assert two.found


def test_one_list_of_phrases_can_be_asked_of_every_picture(colours: Segmenter, paint: Paint) -> None:
    answers = list(colours.segment_many([paint(), paint(), paint()], itertools.repeat(["red", "blue"])))
    assert [[str(answer.reference) for answer in each] for each in answers] == [["red", "blue"]] * 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_list_of_examples_is_one_reference_for_every_picture(paint: Paint, count: int) -> None:
    mask = np.zeros((96, 128), dtype=np.uint8)
    mask[30:50, 20:40] = 1
    examples = [rf.Example(paint(), mask), rf.Example(paint(), mask)]
    pictures = [paint() for _ in range(count)]
    model = shown_colours()
    answers = list(model.segment_many(pictures, examples))
    assert [len(answer.reference.examples) for answer in answers] == [2] * count
    each = list(model.segment_many(pictures, [[examples[0]]] * count))
    assert [len(answer.reference.examples) for answer in each] == [1] * count
    several = list(model.segment_many(pictures, (phrase for phrase in ["red", "blue", "green"][:count])))
    assert [str(answer.reference) for answer in several] == ["red", "blue", "green"][:count]


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_of_no_pictures_is_an_error(colours: Segmenter, paint: Paint, photo: Path, size: int) -> None:
    with pytest.raises(ReferentError, match=f"batch_size: expected at least 1, found {size}"):
        list(colours.segment_many([paint()], "red", batch_size=size))
    with pytest.raises(ReferentError, match=f"batch_size: expected at least 1, found {size}"):
        list(colours.predict([], batch_size=size))


def test_many_pictures_are_read_lazily(colours: Segmenter, paint: Paint) -> None:
    read = []

    def pictures():
        for index in range(100):
            read.append(index)
            yield paint()

    answers = colours.segment_many(pictures(), "red", batch_size=2)
    next(answers)
    assert len(read) == 2


@pytest.mark.parametrize("pictures", [list, iter])
def test_references_that_do_not_pair_with_the_pictures_are_an_error(
    colours: Segmenter, paint: Paint, pictures: Callable[[list[Image.Image]], object]
) -> None:
    with pytest.raises(BadReferenceError, match="one entry a picture"):
        list(colours.segment_many(pictures([paint(), paint()]), ["red"]))


def test_samples_about_one_picture_share_its_encoding(colours: Segmenter, photo: Path, paint: Paint) -> None:
    other = photo.with_name("other.png")
    paint().save(other)
    samples = [
        Sample(f"{index}", path, (96, 128), rf.Reference.of(phrase), ())
        for index, (path, phrase) in enumerate([(photo, "red"), (photo, "green"), (other, "blue")])
    ]
    for batch_size in (1, 2):
        colours.model.encoded.clear()
        answers = list(colours.predict(samples, batch_size))
        assert [sample.id for sample, _ in answers] == ["0", "1", "2"]
        assert [answer.found for _, answer in answers] == [True, False, True]
        assert sum(colours.model.encoded) == 2


def test_an_evaluation_never_skips_a_sample(colours: Segmenter, tmp_path: Path) -> None:
    sample = Sample("7", tmp_path / "gone.png", (96, 128), rf.Reference.of("red"), ())
    with pytest.raises(PictureError, match=r"gone\.png"):
        list(colours.predict([sample]))


def test_a_model_that_cannot_take_an_example_says_which_can(colours: Segmenter, photo: Path) -> None:
    example = rf.Example(photo, photo)
    for asked in (example, [example, example]):
        with pytest.raises(BadReferenceError, match="takes phrases; for an example use unirefpp-pocket, unirefpp-r50"):
            colours.segment(photo, asked)


def test_a_phrase_beyond_the_token_window_is_answered_with_a_note(colours: Segmenter, photo: Path) -> None:
    answer = colours.segment(photo, "red " + "and very large and shiny " * 5)
    assert answer.found
    assert any("8 tokens" in note for note in answer.notes)
    assert colours.segment(photo, "red").notes == ()


@pytest.mark.parametrize("phrase", ["🚗", "красная машина", "红色的车", "!!!"])
def test_a_phrase_without_an_english_word_is_answered_with_a_note(colours: Segmenter, photo: Path, phrase: str) -> None:
    answer = colours.segment(photo, phrase)
    assert any("English" in note for note in answer.notes)


def test_asking_leaves_no_trace_on_gradients(colours: Segmenter, paint: Paint) -> None:
    answers = colours.segment_many([paint(), paint()], "red")
    next(answers)
    assert not torch.is_inference_mode_enabled()
    assert torch.zeros(1, requires_grad=True).sum().requires_grad


def test_bf16_answers_nearly_the_same(colours: Segmenter, photo: Path) -> None:
    fast = Segmenter(colours.model, colours.preparation, device="cpu", dtype=torch.bfloat16)
    exact, rounded = colours.segment(photo, "red"), fast.segment(photo, "red")
    assert rounded.probability.dtype == np.float32
    assert rounded.box == exact.box


def test_an_unknown_dtype_or_device_is_named(tiny_weights: Path) -> None:
    with pytest.raises(ReferentError, match="dtype: expected fp32 or bf16, found int3"):
        rf.load(tiny_weights, dtype="int3")
    with pytest.raises(ReferentError, match="device: expected one of this machine, as cpu, found abacus"):
        rf.load(tiny_weights, device="abacus")


def test_a_tiny_cris_answers_alike_alone_and_in_company(tiny_weights: Path, paint: Paint) -> None:
    segmenter = rf.load(tiny_weights, device="cpu")
    pictures = [paint(), paint(width=240, height=200)]
    alone = [segmenter.segment(picture, "the red thing") for picture in pictures]
    together = list(segmenter.segment_many(pictures, itertools.repeat(["something", "the red thing"])))
    for one, (_, other) in zip(alone, together, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)
        assert one.score == pytest.approx(other.score, abs=1e-5)


@pytest.mark.parametrize("native", [True, False])
def test_bf16_on_a_cpu_that_emulates_it_is_said(
    native: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("referent.engine.bf16_is_native", lambda: native)
    with caplog.at_level("WARNING", logger="referent"):
        warn_of_emulated_bf16(torch.device("cpu"))
    assert ("emulates" in caplog.text) is not native
    caplog.clear()
    with caplog.at_level("WARNING", logger="referent"):
        warn_of_emulated_bf16(torch.device("meta"))
    assert not caplog.text
