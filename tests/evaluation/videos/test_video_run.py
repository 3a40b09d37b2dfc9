"""Videos are followed one by one, compared frame by frame, and averaged as their protocols say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from small_videos import SIZE, StandingModel, square, write_video

from referent.asking import AnySegmenter
from referent.data.videos.davis import read_davis
from referent.data.videos.label_pictures import read_labels, write_labels
from referent.data.videos.video import Expression, VideoObject, VideoSet
from referent.errors import DataError, ReferentError
from referent.evaluation.videos.differences import video_differences
from referent.evaluation.videos.measures import boundary, region
from referent.evaluation.videos.run import evaluate_videos, score_folder
from referent.segmenter import Segmenter

MOVING = [10, 10, 14, 18, 22, 22]
"""A standing answer shares 12, 12, 8, 4, 0, 0 columns with it: J is 1, 1, 8/16, 4/20, 0, 0."""


@pytest.fixture
def videos(tmp_path: Path) -> VideoSet:
    root = tmp_path / "DAVIS"
    write_video(root, "moving", MOVING, dict.fromkeys(range(6), 30))
    write_video(root, "still", [10] * 5)
    return read_davis(root)


def evaluated(model: Any, videos: VideoSet, *protocols: str, **settings: Any) -> Any:
    return evaluate_videos(cast(AnySegmenter, model), videos, protocols or ("davis",), replicates=50, **settings)


def test_davis_leaves_the_first_and_last_frame_out_and_takes_the_mean_over_objects(videos: VideoSet) -> None:
    result = evaluated(StandingModel(), videos)
    shifted = [region(square(left), square(10)) for left in MOVING[1:-1]]
    edges = [boundary(square(left), square(10)) for left in MOVING[1:-1]]
    # Three objects: one that moves, and two that do not.
    assert result.number("J").value == pytest.approx((np.mean(shifted) + 2) / 3, abs=1e-6)
    assert result.number("F").value == pytest.approx((np.mean(edges) + 2) / 3, abs=1e-6)
    assert result.number("J&F").value == pytest.approx((result.number("J").value + result.number("F").value) / 2)
    assert result.number("J-recall").value == pytest.approx((1 / 4 + 2) / 3)
    assert result.number("J", video="still").value == 1.0
    assert result.number("J", video="moving").value == pytest.approx((np.mean(shifted) + 1) / 2, abs=1e-6)
    assert (result.videos, result.objects, result.frames) == (2, 3, 11)
    interval = result.number("J")
    assert interval.low < interval.value < interval.high == 1.0


def test_the_first_masks_are_shown_and_the_procedure_is_the_protocols(videos: VideoSet) -> None:
    model = StandingModel()
    evaluated(model, videos)
    assert model.asked == [({1: None, 2: None}, "davis-2017"), ({1: None}, "davis-2017")]


def test_another_procedure_may_be_asked_for_and_the_result_says_which(videos: VideoSet) -> None:
    model = StandingModel()
    result = evaluated(model, videos, procedure="referent")
    assert {procedure for _, procedure in model.asked} == {result.procedure} == {"referent"}
    assert "followed as referent" in result.scores["davis"].notes[0]
    with pytest.raises(ReferentError, match=r"procedure: expected one of referent, .*, found nobodys"):
        evaluated(model, videos, procedure="nobodys")


def test_several_protocols_are_scored_in_one_pass(videos: VideoSet) -> None:
    model = StandingModel()
    result = evaluated(model, videos, "davis", "youtube-vos")
    assert len(model.asked) == 2
    later = np.mean([region(square(left), square(10)) for left in MOVING[1:]])
    assert result.number("J", "youtube-vos").value == pytest.approx((later + 2) / 3, abs=1e-6)
    assert result.number("G", "youtube-vos").value is None
    assert result.scores["davis"].notes == ()
    assert "followed as davis-2017" in result.scores["youtube-vos"].notes[0]


def test_one_bad_video_does_not_end_the_run(videos: VideoSet) -> None:
    result = evaluated(StandingModel(breaks={1: 2}), videos)
    assert [failure.video for failure in result.failed] == ["moving"]
    assert result.failed[0].error == "RuntimeError: out of luck"
    assert result.number("J").value == 1.0
    with pytest.raises(DataError, match="no video could be answered; the first: RuntimeError: out of luck"):
        evaluated(StandingModel(breaks={1: 2, 2: 0}), videos)


def test_an_object_that_its_first_mask_does_not_show_is_said(videos: VideoSet) -> None:
    late = replace(videos.videos[0], objects=(VideoObject(1), VideoObject(3, first=2)))
    result = evaluated(StandingModel(), replace(videos, videos=[late, videos.videos[1]]))
    assert "00002.jpg: object 3 begins here, and its mask does not show it" in result.failed[0].error


def test_an_interrupted_run_goes_on_after_the_last_video_that_was_done(videos: VideoSet, tmp_path: Path) -> None:
    class Interrupted(StandingModel):
        def track(self, objects: dict[int, Any], **settings: Any) -> Any:
            if self.asked:
                raise KeyboardInterrupt
            return super().track(objects, **settings)

    out, whole = tmp_path / "out", evaluated(StandingModel(), videos)
    with pytest.raises(KeyboardInterrupt):
        evaluated(Interrupted(), videos, save=out)
    with (out / "videos.jsonl").open("a") as lines:
        lines.write('{"video": "still", "tra')
    again = StandingModel()
    result = evaluated(again, videos, save=out)
    assert len(again.asked) == 1
    assert result.resumed == 1
    assert result.scores == whole.scores


def test_a_folder_of_another_run_is_not_continued(videos: VideoSet, tmp_path: Path) -> None:
    evaluated(StandingModel(), videos, save=tmp_path / "out")
    with pytest.raises(DataError, match=r"holds answers about videos of another run \(protocols \['davis/1'\]"):
        evaluated(StandingModel(), videos, "youtube-vos", save=tmp_path / "out")


def test_saved_answers_are_palette_pictures_that_score_the_same(videos: VideoSet, tmp_path: Path) -> None:
    result = evaluated(StandingModel(), videos, save=tmp_path / "out")
    written = tmp_path / "out" / "masks" / "moving" / "00003.png"
    assert Image.open(written).mode == "P"
    assert (read_labels(written, SIZE) == square(10) + 2 * square(30, top=26)).all()
    scored = score_folder(tmp_path / "out" / "masks", videos, ["davis"], replicates=50)
    assert scored.scores == result.scores


def test_unsupervised_answers_are_paired_with_the_objects_they_fit_best(videos: VideoSet, tmp_path: Path) -> None:
    unsupervised = VideoSet(videos.name, "davis", "unsupervised", videos.videos)
    for video in videos.videos:
        place = tmp_path / "answers" / video.name
        place.mkdir(parents=True)
        for index, frame in enumerate(video.frames):
            labels = np.zeros(SIZE, np.uint8)
            # Other numbers than the data set's, and one answer too many.
            for number, mask in video.masks.at(index).masks.items():
                labels[mask] = 5 - number
            labels[:2, :2] = 1
            write_labels(place / f"{frame.stem}.png", labels)
    result = score_folder(tmp_path / "answers", unsupervised, ["davis-unsupervised"], replicates=0)
    assert result.number("J&F", "davis-unsupervised").value == 1.0
    with pytest.raises(DataError, match="asks nothing of a tracker; score a folder of answers"):
        evaluated(StandingModel(), unsupervised, "davis-unsupervised")


def test_a_model_of_phrases_is_asked_for_the_name_of_the_sequence(tmp_path: Path, colours: Segmenter) -> None:
    write_video(tmp_path, "red-2", MOVING)
    result = evaluated(colours, read_davis(tmp_path, year="2016"), given="phrase")
    assert result.given == "phrase"
    assert "objects were given by phrases" in result.scores["davis"].notes[0]
    assert result.number("J").value > 0.8
    with pytest.raises(DataError, match="colours takes phrases, so nothing can be shown to it by mask"):
        evaluated(colours, read_davis(tmp_path))


def test_names_say_nothing_of_several_objects(videos: VideoSet) -> None:
    result = evaluated(StandingModel(), videos, given="both")
    assert "no phrase says which object 1, 2 of 2 is" in result.failed[0].error


def test_expressions_about_objects_are_their_phrases(videos: VideoSet) -> None:
    said = (Expression("0", "both", (1, 2)), Expression("1", "one", (1,)), Expression("2", "two", (2,)))
    model = StandingModel()
    evaluated(model, replace(videos, videos=[replace(videos.videos[0], expressions=said)]), given="both")
    assert {number: str(one) for number, one in model.asked[0][0].items()} == {1: "one", 2: "two"}


def test_the_result_file_says_everything(videos: VideoSet, tmp_path: Path) -> None:
    result = evaluated(
        StandingModel(), videos, weights_sha256="abc", command="referent evaluate", data="DAVIS", where=["still"]
    )
    result.save(tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["model"] == "standing"
    assert content["where"] == ["still"]
    assert content["scores"]["davis"]["protocol"]["version"] == 1
    assert content["scores"]["davis"]["sequences"]["still"]["numbers"]["J"]["value"] == 1.0
    assert {"weights_sha256", "machine", "versions", "command", "seconds", "bootstrap", "split"} <= content.keys()


def test_results_are_compared_video_by_video(videos: VideoSet, tmp_path: Path, run: Any) -> None:
    class Late(StandingModel):
        """Answers with nothing: whatever it is shown, it forgets at once."""

        name = "forgetful"

        def track(self, objects: dict[int, Any], **settings: Any) -> Any:
            tracker = super().track(objects, **settings)
            tracker.step = lambda frame, masks: {}  # type: ignore[method-assign]
            return tracker

    for model in (StandingModel(), Late()):
        result = evaluated(model, videos, save=tmp_path / model.name)
        result.save(tmp_path / f"{model.name}.json")
    paths = [tmp_path / "standing.json", tmp_path / "forgetful.json"]
    found = video_differences(paths)
    paired = found.protocols["davis"].numbers["J"]
    assert paired.values[1].value == 0.0
    assert paired.differences[0].value == pytest.approx(-paired.values[0].value)
    assert found.settings["model"] == ("standing", "forgetful")
    assert found.protocols["davis"].sequences["still"] == (1.0, 0.0)
    outcome = run("compare", *paths)
    assert outcome.code == 0, outcome.err
    assert "2 videos that all of them answered" in outcome.out
    refused = run("look", paths[0])
    assert "a result on videos" in refused.err
    with pytest.raises(DataError, match="the results share davis/1; asked for lvos"):
        video_differences(paths, ["lvos"])


@pytest.mark.parametrize(
    ("protocols", "message"),
    [
        (["davis", "lavt"], "protocol 'lavt': for videos there are: davis, "),
        (["mevis"], "protocol mevis: scores referring sets, not semi-supervised ones; use davis, youtube-vos"),
    ],
)
def test_a_protocol_that_does_not_fit_says_which_do(videos: VideoSet, protocols: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluated(StandingModel(), videos, *protocols)
