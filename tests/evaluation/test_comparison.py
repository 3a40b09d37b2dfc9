from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_stub import sample
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from referent.data.sample import Sample
from referent.evaluation.comparison import Comparison, box_overlap, boxes_of, nearest, squashed
from referent.evaluation.protocols import PROTOCOLS
from referent.reference import Reference
from referent.rle import encode
from referent.segmentation import Segmentation, box_of

SIZE = (6, 8)


def answer(probability: np.ndarray, found: bool = True, box=None, threshold: float = 0.5) -> Segmentation:
    picture = Image.new("RGB", probability.shape[::-1])
    return Segmentation(probability > threshold, probability, box, 0.9, found, Reference.of("x"), "stub", picture)


def block(rows: slice, columns: slice, size=SIZE) -> np.ndarray:
    mask = np.zeros(size, dtype=bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize("side", [480, 448])
@pytest.mark.parametrize("length", [1, 2, 64, 256, 333, 427, 448, 480, 500, 612, 640, 1024, 4000])
def test_squashing_takes_the_very_pixels_that_pil_takes(length, side):
    numbered = Image.fromarray(np.arange(length, dtype=np.int32)[None, :])
    assert (nearest(length, side) == np.asarray(numbered.resize((side, 1), Image.Resampling.NEAREST))[0]).all()


def test_the_plain_formula_would_take_other_pixels_of_a_vga_picture():
    plain = np.floor((np.arange(480) + 0.5) * (640 / 480)).astype(int)
    assert (nearest(640, 480) != plain).sum() == 99


@given(arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))), st.integers(1, 40))
def test_squashed_masks_equal_pils(mask, side):
    expected = Image.fromarray(mask.astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    assert (squashed(mask, side) == np.asarray(expected).astype(bool)).all()


@given(arrays(bool, SIZE))
def test_the_box_of_a_target_is_that_of_its_pixels(mask):
    targets = (encode(mask),) if mask.any() else ()
    asked = Sample("1", Path("a.png"), SIZE, Reference.of("x"), targets)
    corners = [box_of(mask)] if mask.any() else []
    assert boxes_of(asked) == [(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in corners]


def test_the_box_that_a_file_says_goes_before_that_of_the_mask():
    targets = tuple(encode(block(slice(1, 3), slice(0, 4))) for _ in range(2))
    asked = Sample("1", Path("a.png"), SIZE, Reference.of("x"), targets, boxes=(None, (0.25, 1.5, 3.5, 1.25)))
    assert boxes_of(asked) == [(0, 1, 4, 2), (0.25, 1.5, 3.5, 1.25)]


def test_a_box_is_compared_with_the_target_that_it_fits_best():
    # Against the first: 4 of 20; against the second: 8 of 16.
    assert box_overlap((0, 0, 4, 4), [(2, 2, 2, 4), (0, 0, 2, 4)]) == (8, 16, 16)
    assert box_overlap(None, [(0, 0, 2, 3)]) == (0, 6, 0)
    assert box_overlap((0, 0, 2, 3), []) == (0, 6, 6)
    assert box_overlap(None, []) == (0, 0, 0)


def test_a_box_that_the_model_names_itself_goes_before_the_box_of_its_mask():
    asked = sample("1", "a.png", "x", block(slice(0, 4), slice(0, 4)), SIZE)
    drawn = block(slice(1, 2), slice(1, 2)).astype(np.float32)
    reclip = PROTOCOLS["reclip"]
    assert Comparison(asked, answer(drawn, box=(0, 0, 4, 4))).triple(reclip) == (16, 16, 16)
    assert Comparison(asked, answer(drawn)).triple(reclip) == (1, 16, 1)


def test_boxes_are_compared_with_their_fractions():
    """Rounded to whole pixels, the answer would be right."""
    asked = replace(sample("1", "a.png", "x", block(slice(0, 4), slice(0, 4)), SIZE), boxes=((0.0, 0.0, 4.0, 4.0),))
    named = replace(answer(np.zeros(SIZE, np.float32), box=(0, 0, 4, 2)), exact_box=(0.0, 0.0, 4.0, 1.75))
    reclip = PROTOCOLS["reclip"]
    assert Comparison(asked, named).triple(reclip) == (7, 16, 7)
    both = Comparison(replace(asked, boxes=((0.0, 0.0, 4.0, 3.5),)), named).triple(reclip)
    # IoU of exactly a half, which is not more than a half.
    assert both == (7, 14, 7)
    assert not reclip.reached(reclip.iou(np.array([7.0]), np.array([14.0])), 0.5).any()


def test_what_several_polygons_cover_is_left_out_where_a_protocol_says_so():
    parts = [np.array([0, 0, 4, 0, 4, 4, 0, 4], float), np.array([2, 0, 6, 0, 6, 4, 2, 4], float)]
    union, twice = block(slice(0, 4), slice(0, 6)), block(slice(0, 4), slice(2, 4))
    asked = replace(sample("1", "a.png", "x", union, SIZE), polygons=(parts,))
    drawn = answer(union.astype(np.float32))
    cris = Comparison(asked, drawn).triple(PROTOCOLS["cris"])
    assert cris == (24, 24, 24)
    # 480 / 6 = 80 rows and 480 / 8 = 60 columns a pixel.
    lavt = Comparison(asked, drawn).triple(PROTOCOLS["lavt"])
    assert lavt == ((24 - twice.sum()) * 4800, 24 * 4800, 24 * 4800)


def test_a_refused_answer_counts_as_each_protocol_says():
    truth, drawn = block(slice(0, 2), slice(0, 4)), block(slice(0, 2), slice(2, 6)).astype(np.float32)
    present = Comparison(sample("1", "a.png", "x", truth, SIZE), answer(drawn, found=False))
    assert present.triple(PROTOCOLS["referent"]) == (0, 8, 0)
    assert present.triple(PROTOCOLS["referent-masks"]) == (4, 12, 8)
    # gRefCOCO's code leaves what was drawn in the union of a phrase that is true of something.
    assert present.triple(PROTOCOLS["grefcoco"]) == (0, 12, 0)
    absent = Comparison(sample("1", "a.png", "x", None, SIZE), answer(drawn, found=False))
    assert absent.triple(PROTOCOLS["referent"]) == absent.triple(PROTOCOLS["grefcoco"]) == (0, 0, 0)
    assert absent.triple(PROTOCOLS["referent-masks"]) == (0, 8, 8)


def test_equal_comparisons_are_made_once(monkeypatch):
    from referent.evaluation import comparison

    made = []
    monkeypatch.setattr(comparison, "squashed", lambda mask, side: made.append(side) or squashed(mask, side))
    both = Comparison(sample("1", "a.png", "x", block(slice(0, 2), slice(0, 4)), SIZE), answer(np.ones(SIZE)))
    assert both.triple(PROTOCOLS["lavt"]) == both.triple(PROTOCOLS["magnet"])
    assert made.count(480) == 2  # the truth and the answer
