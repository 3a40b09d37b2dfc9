"""Means over objects, seen and unseen ones, spreads and intervals are as worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from referent.evaluation.videos.protocols import VIDEO_PROTOCOLS
from referent.evaluation.videos.scores import drawn_video_scores, spread, video_scores
from referent.evaluation.videos.tracks import Track


def track(
    region: list[float], boundary: list[float], seen: bool | None = None, first: int = 0, last: int = 99
) -> Track:
    frames = tuple(range(len(region)))
    return Track("1", frames, tuple(region), tuple(boundary), first, last, seen)


def test_youtube_vos_takes_the_mean_of_four_means_over_objects_after_their_first_frame() -> None:
    tracks = {
        "a": [track([1.0, 0.8, 0.6], [1.0, 0.6, 0.4], True), track([0.0, 1.0, 0.2], [0.0, 1.0, 0.0], True, first=1)],
        "b": [track([1.0, 0.1, 0.3], [1.0, 0.3, 0.5], False)],
    }
    found = video_scores(VIDEO_PROTOCOLS["youtube-vos"], tracks, replicates=0)
    # The first object: (0.8 + 0.6) / 2 and (0.6 + 0.4) / 2; the second begins in frame 1, so frame 2 alone counts.
    expected = {"J-seen": (0.7 + 0.2) / 2, "F-seen": (0.5 + 0.0) / 2, "J-unseen": 0.2, "F-unseen": 0.4}
    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert found["G"].value == pytest.approx(sum(expected.values()) / 4)
    assert found["J"].value == pytest.approx((0.7 + 0.2 + 0.2) / 3)


def test_g_is_not_defined_where_nobody_says_what_is_seen_or_one_side_is_empty() -> None:
    protocol = VIDEO_PROTOCOLS["youtube-vos"]
    unknown = video_scores(protocol, {"a": [track([1, 0.5], [1, 0.5])]}, replicates=0)
    assert (unknown["G"].value, unknown["J-seen"].value, unknown["J"].value) == (None, None, 0.5)
    seen = video_scores(protocol, {"a": [track([1, 0.5], [1, 0.5], True)]}, replicates=0)
    assert (seen["G"].value, seen["J-seen"].value) == (None, 0.5)


def test_lvos_counts_an_objects_own_span_and_adds_how_unsteady_it_is() -> None:
    tracks = {
        "a": [track([0.0, 1.0, 0.6, 0.2, 0.0], [0.0, 0.8, 0.4, 0.0, 0.0], True, first=1, last=3)],
        "b": [track([0.5, 0.5], [0.5, 0.5], False)],
    }
    found = video_scores(VIDEO_PROTOCOLS["lvos"], tracks, replicates=0)
    # (J + F) / 2 is 0.9, 0.5, 0.1: distances 0.4, 0, 0.4 from the mean.
    unsteady = math.sqrt(round((0.16 + 0.16) / 3, 4))
    assert found["J-seen"].value == pytest.approx(0.6)
    assert found["F-seen"].value == pytest.approx(0.4)
    assert found["V"].value == pytest.approx((unsteady + 0) / 2)
    assert found["G"].value == pytest.approx((0.6 + 0.4 + 0.5 + 0.5) / 4)
    assert spread(np.array([[0.9, 0.1], [0.9, 0.1]])) == pytest.approx(0.4)


def test_an_object_without_a_frame_that_counts_is_in_no_mean() -> None:
    tracks = {"a": [track([1.0, 0.4, 1.0], [1.0, 0.2, 1.0])], "b": [track([1.0], [1.0]), track([0.0, 0.0], [0.0, 0.0])]}
    found = video_scores(VIDEO_PROTOCOLS["davis"], tracks, replicates=0)
    assert (found["J"].value, found["F"].value) == (0.4, 0.2)
    nothing = video_scores(VIDEO_PROTOCOLS["davis"], {"b": [track([1.0], [1.0])]}, replicates=10)
    assert {number.value for number in nothing.values()} == {None}


def test_intervals_draw_videos_not_objects() -> None:
    """Two videos, of which one has three objects: a draw is all of one, all of the other, or both."""
    good, bad = track([0, 1.0, 0], [0, 1.0, 0]), track([0, 0.0, 0], [0, 0.0, 0])
    drawn = drawn_video_scores(VIDEO_PROTOCOLS["davis"], {"a": [good, good, good], "b": [bad]}, replicates=200)["J"]
    assert drawn.value == 0.75
    assert set(np.unique(drawn.drawn)) == {0.0, 0.75, 1.0}
