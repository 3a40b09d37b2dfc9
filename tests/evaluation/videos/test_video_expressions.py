"""Expressions about videos: one by one, or all of an annotator's together with nobody saying which is whose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import SIZE, square, write_video

from referent.data.videos.davis import read_davis
from referent.data.videos.video import Expression, VideoSet
from referent.errors import DataError
from referent.evaluation.videos.measures import region
from referent.evaluation.videos.protocols import VIDEO_PROTOCOLS
from referent.evaluation.videos.run import evaluate_videos, score_folder
from referent.evaluation.videos.submission import write_submission
from referent.segmenter import Segmenter

LENGTH = 4


def spoken(root: Path, family: str, expressions: tuple[Expression, ...]) -> VideoSet:
    """A red square, object 1, and a blue one, object 2, that stand still."""
    write_video(root, "two", [10] * LENGTH, dict.fromkeys(range(LENGTH), 30))
    (video,) = read_davis(root).videos
    return VideoSet("Spoken", family, "referring", [replace(video, expressions=expressions)], "val")


def test_mevis_takes_the_mean_over_expressions_each_answered_by_itself(tmp_path: Path, colours: Segmenter) -> None:
    said = (
        Expression("0", "red", (1,)),
        Expression("1", "blue", (2,)),
        Expression("7", "red", (1, 2)),
    )
    videos = spoken(tmp_path, "mevis", said)
    result = evaluate_videos(colours, videos, ["mevis"], save=tmp_path / "out", replicates=0)
    half = region(square(10) | square(30, top=26), square(10))
    assert result.number("J").value == pytest.approx((1 + 1 + half) / 3, abs=0.03)
    assert result.objects == 3
    answer = Image.open(tmp_path / "out" / "masks" / "two" / "7" / "00003.png")
    assert set(np.unique(np.asarray(answer)).tolist()) == {0, 255}
    assert region(square(10), np.asarray(answer) > 0) > 0.9
    scored = score_folder(tmp_path / "out" / "masks", videos, ["mevis"], replicates=0)
    assert scored.scores["mevis"].overall == result.scores["mevis"].overall
    count = write_submission(tmp_path / "out" / "masks", videos, VIDEO_PROTOCOLS["mevis"], tmp_path / "out.zip")
    assert count == 3 * LENGTH


def test_ref_davis_pairs_each_annotators_answers_with_the_objects_they_fit(tmp_path: Path, colours: Segmenter) -> None:
    said = (
        # The first annotator has mixed up the two, which costs nothing; the second has named one of them only.
        Expression("0", "blue", (1,), annotator=0),
        Expression("1", "red", (2,), annotator=0),
        Expression("0", "red", (1,), annotator=1),
    )
    result = evaluate_videos(colours, spoken(tmp_path, "ref-davis", said), ["ref-davis"], replicates=0)
    scores = result.scores["ref-davis"]
    assert scores.kinds["annotator 0"].numbers["J"].value == pytest.approx(1, abs=0.03)
    assert scores.kinds["annotator 1"].numbers["J"].value == pytest.approx(0.5, abs=0.03)
    assert result.number("J").value == pytest.approx(0.75, abs=0.03)


def test_where_objects_are_secret_answers_are_written_and_nothing_is_scored(tmp_path: Path, colours: Segmenter) -> None:
    videos = spoken(tmp_path, "ref-youtube-vos", (Expression("0", "red"),))
    result = evaluate_videos(colours, videos, ["ref-youtube-vos"], save=tmp_path / "out")
    assert result.scores == {}
    assert (result.videos, result.objects) == (1, 0)
    write_submission(tmp_path / "out" / "masks", videos, VIDEO_PROTOCOLS["ref-youtube-vos"], tmp_path / "out.zip")
    (tmp_path / "out" / "masks" / "two" / "0" / "00002.png").unlink()
    with pytest.raises(DataError, match=r"1 of 4 answers are missing, the first: two/0/00002\.png"):
        write_submission(tmp_path / "out" / "masks", videos, VIDEO_PROTOCOLS["ref-youtube-vos"], tmp_path / "out.zip")


def test_a_phrase_that_is_true_of_nothing_is_answered_with_nothing(tmp_path: Path, colours: Segmenter) -> None:
    result = evaluate_videos(
        colours, spoken(tmp_path, "mevis", (Expression("0", "green", (1,)),)), ["mevis"], save=tmp_path / "out"
    )
    assert result.number("J").value == 0.0
    assert not result.failed
    assert np.asarray(Image.open(tmp_path / "out" / "masks" / "two" / "0" / "00000.png")).shape == SIZE
