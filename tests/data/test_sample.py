"""The one sample type."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from referent.data.sample import Sample
from referent.reference import Reference
from referent.rle import Polygons, draw, encode

SIZE = (8, 10)


def square(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return np.array([left, top, right, top, right, bottom, left, bottom], dtype=float)


def region(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def sample(*targets: Polygons | np.ndarray) -> Sample:
    """Targets as lists of polygons, or as masks."""
    rles = [encode(target) if isinstance(target, np.ndarray) else draw(target, SIZE) for target in targets]
    polygons = [() if isinstance(target, np.ndarray) else target for target in targets]
    return Sample("1", Path("a.png"), SIZE, Reference.of("a cat"), rles, polygons=polygons)


OVERLAPPING = [square(0, 0, 4, 4), square(2, 2, 6, 6)]
UNION = region(0, 0, 4, 4) | region(2, 2, 6, 6)
SHARED = region(2, 2, 4, 4)


def test_a_mask_is_the_union_of_a_targets_polygons() -> None:
    assert (sample(OVERLAPPING).mask() == UNION).all()


def test_where_polygons_of_one_target_overlap_the_official_lavt_truth_has_a_hole() -> None:
    assert (sample(OVERLAPPING).mask("once") == UNION & ~SHARED).all()


def test_three_polygons_over_one_pixel_leave_it_out_too() -> None:
    assert not sample([square(1, 1, 3, 3)] * 3).mask("once").any()


def test_overlapping_targets_leave_no_hole() -> None:
    two = sample(OVERLAPPING[:1], OVERLAPPING[1:])
    assert (two.mask("once") == UNION).all()


def test_a_target_without_polygons_is_taken_as_it_is() -> None:
    both = sample(OVERLAPPING, SHARED)
    assert (both.mask("once") == UNION).all()
    assert (sample(SHARED).mask("once") == SHARED).all()


def test_nothing_is_nothing_under_either_rule() -> None:
    nothing = Sample("1", Path("a.png"), SIZE, Reference.of("a cat"), ())
    assert not nothing.mask().any()
    assert not nothing.mask("once").any()
