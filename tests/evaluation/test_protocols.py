from __future__ import annotations

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from referent.errors import DataError
from referent.evaluation.protocols import PROTOCOLS, find


def test_cris_follows_the_published_evaluation():
    cris = PROTOCOLS["cris"]
    assert cris.threshold == 0.35
    iou = cris.iou(np.array([5, 0]), np.array([10, 0]))
    assert iou.tolist() == [5 / (10 + 1e-6), 0]
    # Strict: 0.5 - 5e-8 does not reach Pr@0.5, and neither would an exact half.
    assert cris.reached(np.array([0.5, 0.500001]), 0.5).tolist() == [False, True]


def test_referent_counts_nothing_against_nothing_as_right_and_an_exact_half_as_reached():
    referent = PROTOCOLS["referent"]
    iou = referent.iou(np.array([5, 0, 0]), np.array([10, 0, 7]))
    assert iou.tolist() == [0.5, 1, 0]
    assert referent.reached(iou, 0.5).tolist() == [True, True, False]


def test_a_protocol_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["cris"].threshold = 0.5


def test_protocols_are_found_by_name_each_once():
    assert [protocol.name for protocol in find(["cris", "referent", "cris"])] == ["cris", "referent"]


@pytest.mark.parametrize(("names", "found"), [(["lisa"], "'lisa'"), ([], "none")])
def test_an_unknown_protocol_or_none_is_an_error_that_lists_them(names, found):
    with pytest.raises(DataError, match=f"expected .*referent, referent-masks, cris, .*, fss, found {found}"):
        find(names)
