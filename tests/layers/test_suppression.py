from __future__ import annotations

import numpy as np

from referent.layers.suppression import non_maximum_suppression

# Row 1 overlaps both others, which do not overlap each other.
CHAIN = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool)


def test_a_row_that_is_suppressed_suppresses_none() -> None:
    assert non_maximum_suppression(3, CHAIN.__getitem__) == [0, 2]


def test_no_more_are_kept_than_asked_and_no_row_is_needed() -> None:
    assert non_maximum_suppression(3, np.eye(3, dtype=bool).__getitem__, 2) == [0, 1]
    assert non_maximum_suppression(0, CHAIN.__getitem__) == []
