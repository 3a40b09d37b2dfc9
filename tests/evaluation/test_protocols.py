from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from evaluation_stub import columns, sample

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


def test_gres_counts_an_exact_iou_as_reached_and_unirefpp_does_not():
    exact = np.array([0.7])
    assert PROTOCOLS["grefcoco"].reached(exact, 0.7).all()
    assert PROTOCOLS["lavt"].reached(exact, 0.7).all()
    assert not PROTOCOLS["unirefpp"].reached(exact, 0.7).any()


@pytest.mark.parametrize(("name", "iou"), [("lavt", 0), ("magnet", 0), ("unirefpp", 0), ("cris", 0), ("grefcoco", 1)])
def test_nothing_against_nothing_is_what_each_code_makes_of_it(name, iou):
    assert PROTOCOLS[name].iou(np.array([0]), np.array([0])).tolist() == [iou]


def test_only_the_first_sentence_of_each_referred_object_is_counted_where_a_protocol_says_so():
    samples = [sample(id_, "a.png", "x", columns(0), ref=ref) for id_, ref in (("1", "b"), ("2", "a"), ("3", "b"))]
    assert PROTOCOLS["cris-val"].counted(samples) == {"1", "2"}
    assert PROTOCOLS["cris"].counted(samples) == {"1", "2", "3"}


def test_samples_without_a_class_do_not_enter_means_over_classes():
    samples = [sample("1", "a.png", "x", columns(0), name="cat"), sample("2", "a.png", "x", columns(0))]
    assert PROTOCOLS["fss"].counted(samples) == {"1"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fss", "protocol fss: takes means over classes, but no sample has the tag 'name'"),
        ("cris-val", "protocol cris-val: takes means over first sentences, but no sample has the tag 'ref'"),
    ],
)
def test_samples_without_the_tag_that_a_protocol_needs_are_an_error(name, message):
    with pytest.raises(DataError, match=message):
        PROTOCOLS[name].counted([sample("1", "a.png", "x", columns(0))])


def test_truths_that_are_only_boxes_are_scored_by_protocols_on_boxes_alone():
    boxes = [replace(sample("1", "a.png", "x", columns(0)), tags={"truth": "box"})]
    with pytest.raises(DataError, match="protocol cris: compares masks, but this data holds boxes only; use reclip"):
        PROTOCOLS["cris"].counted(boxes)
    assert PROTOCOLS["reclip"].counted(boxes) == {"1"}


def test_a_protocol_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        PROTOCOLS["cris"].threshold = 0.5


def test_protocols_are_found_by_name_each_once():
    assert [protocol.name for protocol in find(["cris", "referent", "cris"])] == ["cris", "referent"]


@pytest.mark.parametrize(("names", "found"), [(["lisa"], "'lisa'"), ([], "none")])
def test_an_unknown_protocol_or_none_is_an_error_that_lists_them(names, found):
    with pytest.raises(DataError, match=f"expected .*referent, referent-masks, cris, .*, fss, found {found}"):
        find(names)
