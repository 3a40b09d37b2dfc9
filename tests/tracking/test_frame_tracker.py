from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import referent as rf
from referent.errors import BadReferenceError, ReferentError
from referent.segmenter import Segmenter

Paint = Callable[..., Image.Image]


def test_a_model_of_phrases_sees_every_frame_by_itself(colours: Segmenter, paint: Paint) -> None:
    tracker = colours.track({"car": "the red car", "bus": "the blue bus"})
    for shift in (0, 10, 20):
        frame = paint((16 + shift, 24, 48 + shift, 64))
        answers = tracker.step(frame)
        alone = colours.segment(frame, ["the red car", "the blue bus"])
        assert list(answers) == ["car", "bus"]
        for one, other in zip(answers.values(), alone, strict=True):
            assert one.box == other.box
            np.testing.assert_array_equal(one.probability, other.probability)


def test_a_phrase_that_is_true_of_nothing_has_empty_answers(colours: Segmenter, paint: Paint) -> None:
    tracker = colours.track("the green bird")
    assert not any(tracker.step(paint()).found for _ in range(3))


def test_a_model_of_phrases_says_at_once_that_it_takes_no_masks(colours: Segmenter, paint: Paint) -> None:
    with pytest.raises(BadReferenceError, match=r"colours takes phrases; for an example use unirefpp"):
        colours.track({"it": None})
    tracker = colours.track({"it": "red"})
    with pytest.raises(BadReferenceError, match="colours takes phrases"):
        tracker.expect_masks()
    with pytest.raises(BadReferenceError, match="colours takes phrases"):
        tracker.step(paint(), {"it": np.ones((96, 128), bool)})
    with pytest.raises(ReferentError, match="procedure: expected none"):
        colours.track("red", procedure="davis-2017")


def test_smoothing_bridges_a_frame_that_went_wrong(colours: Segmenter, paint: Paint) -> None:
    there, gone = paint(), paint((0, 0, 0, 0))
    rough, smooth = colours.track("red"), colours.track("red", smoothing=0.6)
    for frame in (there, there, there):
        assert rough.step(frame).box == smooth.step(frame).box
    assert not rough.step(gone).found
    bridged = smooth.step(gone)
    assert bridged.found
    assert bridged.box == rough.step(there).box
    assert not [smooth.step(gone) for _ in range(5)][-1].found


def test_smoothing_is_an_exponential_average_and_begins_anew_with_another_size(
    colours: Segmenter, paint: Paint
) -> None:
    tracker = colours.track("red", smoothing=0.25)
    first, second = paint(), paint((40, 24, 72, 64))
    raw = [colours.segment(frame, "red") for frame in (first, second)]
    tracker.step(first)
    answer = tracker.step(second)
    np.testing.assert_allclose(answer.probability, 0.25 * raw[0].probability + 0.75 * raw[1].probability, atol=1e-6)
    assert answer.score == pytest.approx(0.25 * raw[0].score + 0.75 * raw[1].score)
    other = first.resize((64, 48))
    np.testing.assert_array_equal(tracker.step(other).probability, colours.segment(other, "red").probability)
    for share in (-0.1, 1.0):
        with pytest.raises(ReferentError, match="smoothing: expected at least 0 and less than 1"):
            colours.track("red", smoothing=share)


def test_what_smoothing_has_not_forgotten_is_asked_again_to_go_on(colours: Segmenter, paint: Paint) -> None:
    frames = [paint((16 + 3 * i, 24, 48 + 3 * i, 64)) for i in range(14)]
    whole = colours.track({"it": "red"}, smoothing=0.3)
    answers = [whole.step(frame)["it"] for frame in frames]
    again = colours.track({"it": "red"}, smoothing=0.3)
    needed = again.needed([{"it"}] * 12, {})
    assert needed == set(range(6, 12))
    for index in sorted(needed):
        again.recall(frames[index], {"it": answers[index].mask})
    np.testing.assert_allclose(again.step(frames[12])["it"].probability, answers[12].probability, atol=2e-3)
    assert colours.track({"it": "red"}).needed([{"it"}] * 12, {}) == set()


def test_frames_come_as_they_are_read(colours: Segmenter, paint: Paint) -> None:
    for frame in rf.read_video([paint(), paint()]):
        assert colours.track("red").step(frame).found
