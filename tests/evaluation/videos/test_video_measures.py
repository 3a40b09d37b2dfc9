"""J, F and what is made of them are DAVIS's: beside definitions written a second time, pixel by pixel, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from referent.evaluation.videos.measures import boundary, close_to, decay, outline, recall, region

Mask = NDArray[np.bool_]
SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
PAIRS = SIDES.flatmap(lambda size: st.tuples(*[arrays(bool, size)] * 3))


def outline_by_pixels(mask: Mask) -> Mask:
    """A pixel beyond the last row or column is taken for the one at the border itself."""
    height, width = mask.shape
    edge = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            below, right = min(y + 1, height - 1), min(x + 1, width - 1)
            others = [mask[y, right], mask[below, x]]
            if y + 1 < height and x + 1 < width:
                others.append(mask[y + 1, x + 1])
            edge[y, x] = any(other != mask[y, x] for other in others)
    return edge


def boundary_by_pixels(truth: Mask, answer: Mask, radius: int) -> float:
    def points(mask: Mask) -> list[tuple[int, int]]:
        return [(int(y), int(x)) for y, x in np.argwhere(outline_by_pixels(mask))]

    def matched(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        close = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in some]
        return sum(close) / len(close)

    of_answer, of_truth = points(answer), points(truth)
    if not of_answer and not of_truth:
        return 1.0
    if not of_answer or not of_truth:
        return 0.0
    precision, recalled = matched(of_answer, of_truth), matched(of_truth, of_answer)
    return 0.0 if precision + recalled == 0 else 2 * precision * recalled / (precision + recalled)


@given(PAIRS)
def test_outlines_are_those_counted_pixel_by_pixel(masks: tuple[Mask, Mask, Mask]) -> None:
    assert (outline(masks[0]) == outline_by_pixels(masks[0])).all()


@given(PAIRS, st.integers(1, 5))
def test_the_boundary_measure_is_that_counted_pixel_by_pixel(masks: tuple[Mask, Mask, Mask], radius: int) -> None:
    truth, answer, void = masks
    assert boundary(truth, answer, tolerance=radius) == pytest.approx(boundary_by_pixels(truth, answer, radius))
    seen = boundary_by_pixels(truth & ~void, answer & ~void, radius)
    assert boundary(truth, answer, void, tolerance=radius) == pytest.approx(seen)


@given(PAIRS)
def test_the_region_measure_is_that_counted_pixel_by_pixel(masks: tuple[Mask, Mask, Mask]) -> None:
    truth, answer, void = masks
    triples = list(zip(truth.ravel(), answer.ravel(), void.ravel(), strict=True))
    both = sum(bool(a and b and not c) for a, b, c in triples)
    either = sum(bool((a or b) and not c) for a, b, c in triples)
    assert region(truth, answer, void) == (both / either if either else 1.0)


@given(PAIRS, st.integers(0, 12))
def test_a_disk_reaches_what_is_near_enough(masks: tuple[Mask, Mask, Mask], radius: int) -> None:
    others = np.argwhere(masks[1])
    reached = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in others) for y, x in np.argwhere(masks[0])]
    assert close_to(masks[0], masks[1], radius) == sum(reached)


def test_the_tolerance_is_a_share_of_the_diagonal_rounded_up() -> None:
    """480 x 854: the diagonal is 979.7 pixels, 0.8 % of it 7.84, so boundaries 8 apart match and 9 apart do not."""
    truth = np.zeros((480, 854), bool)
    truth[100:300, 200:400] = True
    for shift, expected in ((8, 1.0), (9, 0.0)):
        answer = np.zeros_like(truth)
        answer[100 + shift : 300 - shift, 200 + shift : 400 - shift] = True
        # Inside, every point of the smaller square is exactly `shift` away from the larger one.
        points = outline(answer)
        assert close_to(points, outline(truth), 8) == expected * np.count_nonzero(points)
    assert boundary(truth, truth) == 1.0


def test_a_frame_in_which_one_side_is_empty_counts_0_and_both_empty_1() -> None:
    none, some = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    some[2:5, 2:5] = True
    assert (region(none, none), boundary(none, none)) == (1.0, 1.0)
    assert (region(none, some), boundary(none, some)) == (0.0, 0.0)
    assert (region(some, none), boundary(some, none)) == (0.0, 0.0)


def test_a_mask_of_the_whole_picture_has_no_boundary_and_so_fits_an_empty_one_in_f() -> None:
    every = np.ones((8, 8), bool)
    assert boundary(every, ~every) == 1.0
    assert region(every, ~every) == 0.0


def test_recall_counts_what_is_above_a_half() -> None:
    assert recall(np.array([0.5, 0.51, 0.2, 1.0])) == 0.5


def test_decay_compares_the_first_quarter_with_the_last() -> None:
    """Ten frames: quarters end at 1, 3.25, 5.5, 7.75 and 10, so the first three frames and the last three."""
    values = np.array([0.9, 0.8, 0.7, 0, 0, 0, 0, 0.3, 0.2, 0.1])
    assert decay(values) == pytest.approx(0.8 - 0.2)
    assert decay(np.array([0.4])) == 0.0


def test_decay_is_right_beyond_256_frames() -> None:
    values = np.concatenate([np.ones(100), np.zeros(300)])
    assert decay(values) == pytest.approx(1.0, abs=0.02)
