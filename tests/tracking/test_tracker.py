import gc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from stub import SIDE, ColourMemory, frame_of, mask_of, moving, segmenter

import referent as rf
from referent.errors import BadReferenceError, PictureError, ReferentError
from referent.preparation import Preparation
from referent.segmentation import Segmentation
from referent.segmenter import Segmenter
from referent.tracking.objects import MOST, labels_of
from referent.tracking.procedure import OWN, PROCEDURES


def model_of(model: Segmenter) -> ColourMemory:
    assert isinstance(model.model, ColourMemory)
    return model.model


def test_an_object_that_was_shown_once_is_followed() -> None:
    tracker = segmenter().track({"it": None})
    for index, frame in enumerate(moving(12, "red", "blue")):
        answer = tracker.step(frame, {"it": mask_of(2, 2)} if index == 0 else None)["it"]
        assert answer.box == (2 + index, 2, 10 + index, 10)
        assert (answer.mask == mask_of(2 + index, 2)).all()
        assert answer.found
        assert answer.model == "colour-memory"


def test_one_reference_gives_one_answer() -> None:
    tracker = segmenter().track("the red square")
    answer = tracker.step(frame_of(("red", 4, 4)))
    assert isinstance(answer, Segmentation)
    assert answer.box == (4, 4, 12, 12)
    assert str(answer.reference) == "the red square"
    with pytest.raises(BadReferenceError, match="one reference"):
        tracker.add("other", "blue")


def test_a_given_mask_is_the_answer_to_its_frame() -> None:
    tracker = segmenter().track({"it": "red"})
    answer = tracker.step(frame_of(("red", 4, 4)), {"it": mask_of(20, 20)})["it"]
    assert (answer.mask == mask_of(20, 20)).all()
    assert answer.score == 1.0


def test_references_of_every_kind_are_followed_together_and_may_begin_in_any_frame() -> None:
    tracker = segmenter().track({"phrase": "red", "both": rf.Reference(rf.Phrase("blue"), (an_example("blue"),))})
    first = frame_of(("red", 2, 2), ("blue", 20, 2), ("green", 2, 20))
    assert list(tracker.step(first)) == ["phrase", "both"]
    assert list(tracker.step(first, {7: mask_of(2, 20)})) == ["phrase", "both", 7]
    tracker.add("later", an_example("green"))
    answers = tracker.step(frame_of(("red", 4, 2), ("blue", 22, 2)))
    assert {name: answer.found for name, answer in answers.items()} == {
        "phrase": True,
        "both": True,
        7: False,
        "later": False,
    }
    assert answers["both"].box == (22, 2, 30, 10)


def an_example(colour: str) -> rf.Example:
    return rf.Example(Image.fromarray(frame_of((colour, 0, 0))), mask_of(0, 0))


def test_an_object_may_vanish_and_come_back() -> None:
    tracker = segmenter().track({"it": None})
    tracker.step(frame_of(("red", 2, 2)), {"it": mask_of(2, 2)})
    gone = tracker.step(frame_of())["it"]
    assert not gone.found
    assert gone.box is None
    assert not gone.mask.any()
    assert tracker.step(frame_of(("red", 20, 20)))["it"].box == (20, 20, 28, 28)


def test_a_correction_replaces_what_was_shown_before() -> None:
    tracker = segmenter().track({"it": None})
    both = frame_of(("red", 2, 2), ("blue", 20, 2))
    tracker.step(both, {"it": mask_of(2, 2)})
    assert tracker.step(both)["it"].box == (2, 2, 10, 10)
    tracker.step(both, {"it": mask_of(20, 2)})
    assert tracker.step(both)["it"].box == (20, 2, 28, 10)


def test_an_empty_mask_says_that_a_known_object_is_not_there_and_nothing_else() -> None:
    tracker = segmenter().track({"it": None})
    picture = frame_of(("red", 2, 2))
    with pytest.raises(BadReferenceError, match=r"'it': expected a mask of something to begin with"):
        tracker.step(picture, {"it": np.zeros((SIDE, SIDE), bool)})
    tracker.step(picture, {"it": mask_of(2, 2)})
    assert not tracker.step(picture, {"it": np.zeros((SIDE, SIDE), bool)})["it"].found
    assert tracker.step(picture)["it"].box == (2, 2, 10, 10)


def test_a_mask_of_another_size_than_its_frame_is_refused() -> None:
    with pytest.raises(PictureError, match=r"expected a mask of 32 x 32 .* found 16 x 16"):
        segmenter().track({}).step(frame_of(), {"it": np.ones((16, 16), bool)})


def test_a_mask_too_small_for_the_model_to_see_is_refused() -> None:
    dot = np.zeros((8 * SIDE, 8 * SIDE), dtype=bool)
    dot[1, 1] = True
    with pytest.raises(BadReferenceError, match=r"resized to 32 x 32 .* found 1 pixels that are not"):
        segmenter().track({}).step(frame_of(side=8 * SIDE), {"it": dot})


def test_frames_may_change_their_size() -> None:
    tracker = segmenter().track({"it": None})
    tracker.step(frame_of(("red", 2, 2)), {"it": mask_of(2, 2)})
    answer = tracker.step(frame_of(("red", 20, 20), side=48, length=12))["it"]
    assert answer.mask.shape == (48, 48)
    assert answer.box == pytest.approx((20, 20, 32, 32), abs=1)


def test_a_frame_is_encoded_once_and_all_objects_are_asked_in_one_pass() -> None:
    model = segmenter()
    tracker = model.track({"a": "red", "b": "blue", "c": None})
    for index, frame in enumerate(moving(5, "red", "blue", "green")):
        tracker.step(frame, {"c": mask_of(2, 22)} if index == 0 else None)
    assert model_of(model).looks == 5
    assert model_of(model).asked == [2, 3, 3, 3, 3]


@pytest.mark.slow
def test_memory_is_that_of_two_frames_an_object_however_long_the_video() -> None:
    """Held are tensors and arrays; both are counted, as the process's memory is that of many other tests."""

    def held() -> tuple[int, int]:
        gc.collect()
        found = [one for one in gc.get_objects() if type(one) in (torch.Tensor, Image.Image)]
        return len(found), sum(one.nbytes for one in found if isinstance(one, torch.Tensor))

    tracker = segmenter().track({"it": None})
    frames = list(moving(20, "red"))
    tracker.step(frames[0], {"it": mask_of(2, 2)})
    counts = []
    for index in range(10_000):
        tracker.step(frames[index % 20])
        if index in (100, 9_999):
            counts.append(held())
    assert counts[0] == counts[1]


def test_an_interrupted_run_is_gone_on_with_as_if_it_had_not_been() -> None:
    frames = [frame_of(("red", 2 + i, 2), *([("blue", 2, 20)] if i % 3 else [])) for i in range(12)]
    nothing = np.zeros((SIDE, SIDE), dtype=bool)
    shown: dict[int, dict[str, Any]] = {1: {"b": mask_of(2, 20)}, 4: {"a": mask_of(6, 2)}, 6: {"a": nothing}}
    whole = segmenter().track({"a": "red", "b": None})
    answers = [whole.step(frame, shown.get(i)) for i, frame in enumerate(frames)]
    found = [{name: one.mask for name, one in row.items() if one.found} for row in answers[:8]]
    again = segmenter().track({"a": "red", "b": None})
    needed = again.needed(found, shown)
    assert needed == {1, 4, 7}
    for index in sorted(needed):
        again.recall(frames[index], found[index], shown.get(index))
    for index in range(8, 12):
        for name, answer in again.step(frames[index]).items():
            np.testing.assert_array_equal(answer.probability, answers[index][name].probability)


def test_objects_compete_for_pixels_or_do_not_as_the_procedure_says() -> None:
    frame = frame_of(("red", 2, 2))
    for name, shared in (("ref-davis", False), ("ref-youtube-vos", True)):
        answers = segmenter().track({"a": "red", "b": "the red one"}, procedure=name).step(frame)
        assert answers["a"].found
        assert answers["b"].found is shared


def test_below_the_threshold_nothing_is_there_and_without_one_something_always_may_be() -> None:
    frame = frame_of(("red", 2, 2))
    score = segmenter().track("red").step(frame).score
    assert 0.9 < score < 1
    for threshold, found in ((score + 1e-4, False), (score - 1e-4, True), (None, True)):
        procedure = replace(OWN, threshold=threshold)
        assert segmenter().track("red", procedure=procedure).step(frame).found is found


def test_weights_that_are_sure_at_a_lower_score_are_believed_on_users_videos_alone() -> None:
    model = segmenter()
    model.presence_threshold = 0.2
    for name, threshold in (("referent", 0.2), ("davis-2017", 0.3), ("ref-davis", None)):
        tracker = model.track("red", procedure=name)
        assert tracker.procedure.threshold == threshold
    model.presence_threshold = 0.6
    assert model.track("red").procedure.threshold == 0.3


def test_frames_have_the_procedure_s_size_or_the_model_s_own_for_frames_where_that_is_smaller() -> None:
    pictures = Preparation(size=600, longest=900, fit="shortest")
    assert OWN.fitted(pictures).geometry == "shortest 480/900"
    assert OWN.fitted(pictures.model_copy(update={"frames": (256, 384)})).geometry == "shortest 256/384"
    assert OWN.fitted(Preparation(size=600)).geometry == "letterbox 600"


def test_without_a_presence_head_an_object_is_scored_by_its_mask_and_is_there_where_that_is_not_empty() -> None:
    model = segmenter()
    model_of(model).presence = False
    frames = [frame_of(("red", 2, 2)), frame_of(), frame_of(("red", 20, 20))]
    for name in ("referent", "lvos", "ref-davis"):
        tracker = model.track({"it": "red"}, procedure=name)
        answers = [tracker.step(frame)["it"] for frame in frames]
        assert [one.box for one in answers] == [(2, 2, 10, 10), None, (20, 20, 28, 28)]
        assert [one.score for one in answers] == pytest.approx([model.segment(one, "red").score for one in frames])


def test_a_procedure_without_memory_asks_every_frame_with_the_phrase_alone() -> None:
    model = segmenter()
    for name, references in (("ref-davis", 1), ("ref-youtube-vos", 2)):
        tracker = model.track({"it": "red"}, procedure=name)
        tracker.step(frame_of(("red", 2, 2)))
        tracker.step(frame_of(("red", 2, 2)))
        assert model_of(model).references == references


def test_the_published_thresholds_and_rules_are_those_of_the_released_code() -> None:
    assert {name: one.threshold for name, one in PROCEDURES.items() if name != "referent"} == {
        "davis-2017": 0.3,
        "youtube-vos": 0.4,
        "mose": 0.4,
        "lvos": 0.5,
        "ref-youtube-vos": 0.3,
        "ref-davis": None,
    }
    assert [name for name, one in PROCEDURES.items() if not one.remembers] == ["ref-davis"]
    assert [name for name, one in PROCEDURES.items() if not one.rivals] == ["ref-youtube-vos"]
    assert all((one.shortest, one.longest) == (480, 1333) for one in PROCEDURES.values())


def test_one_object_cannot_be_left_for_later() -> None:
    with pytest.raises(BadReferenceError, match=r"expected something to follow, found None; .*\{\"it\": None\}"):
        segmenter().track(None)  # type: ignore[call-overload]


def test_names_are_unique_and_as_many_as_a_palette_holds() -> None:
    tracker = segmenter().track({"it": "red"})
    with pytest.raises(BadReferenceError, match="one of this name already"):
        tracker.add("it", "blue")
    with pytest.raises(BadReferenceError, match=f"at most {MOST} objects"):
        segmenter().track(dict.fromkeys(range(MOST + 1), "red"))
    with pytest.raises(ReferentError, match="procedure: expected one of referent, davis-2017"):
        segmenter().track("red", procedure="davis")
    with pytest.raises(ReferentError, match="smoothing: expected none"):
        segmenter().track("red", smoothing=0.5)


def test_a_picture_of_all_objects_gives_each_pixel_to_the_most_probable() -> None:
    answers = segmenter().track({"a": "red", "b": "blue"}).step(frame_of(("red", 2, 2), ("blue", 20, 2)))
    labels = labels_of(answers, {"a": 1, "b": 2}, (SIDE, SIDE))
    assert labels.dtype == np.uint8
    assert (labels == mask_of(2, 2) + 2 * mask_of(20, 2)).all()
    overlapping = {"a": answers["a"], "b": replace(answers["a"], probability=answers["a"].probability + 0.1)}
    assert set(np.unique(labels_of(overlapping, {"a": 1, "b": 2}, (SIDE, SIDE)))) == {0, 2}
