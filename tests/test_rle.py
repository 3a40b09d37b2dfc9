"""Masks as run lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from referent.rle import BadMaskError, decode, decompress, encode, read_segmentation

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=40))


def runs_of(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, background first, by the definition."""
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = bool(pixel)
        runs[-1] += 1
    return runs


@settings(deadline=None)
@given(masks)
def test_compressed_counts_are_read_as_they_are_defined(mask: np.ndarray) -> None:
    rle = encode(mask)
    assert decompress(rle["counts"]).tolist() == runs_of(mask)
    assert (decode(rle) == mask).all()


@pytest.mark.filterwarnings("error")
def test_reading_masks_warns_of_nothing() -> None:
    mask = np.eye(7, 5, dtype=bool)
    assert (decode(encode(mask)) == mask).all()


def test_counts_that_do_not_cover_the_picture_are_refused() -> None:
    rle = encode(np.eye(7, 5, dtype=bool))
    with pytest.raises(ValueError, match="cannot reshape"):
        decode({**rle, "size": [7, 6]})


@settings(deadline=None)
@given(masks.filter(np.any))
def test_both_kinds_of_rle_become_the_same_compressed_one(mask: np.ndarray) -> None:
    rle = encode(mask)
    assert read_segmentation(rle, mask.shape) == rle
    plain = {"size": list(mask.shape), "counts": runs_of(mask)}
    assert (decode(read_segmentation(plain, mask.shape)) == mask).all()


def test_large_runs_are_read() -> None:
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[2999, 3999] = True
    assert decompress(encode(mask)["counts"]).tolist() == [11_999_999, 1]


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30))
def test_junk_counts_are_refused_or_fit_the_picture(counts: str) -> None:
    try:
        rle = read_segmentation({"size": [4, 5], "counts": counts}, (4, 5))
    except BadMaskError:
        return
    assert decode(rle).shape == (4, 5)
    assert decode(rle).any()


def test_polygons_cover_their_inside_and_are_cut_at_the_picture() -> None:
    rle = read_segmentation([[2, 1, 6, 1, 6, 4, 2, 4], [8, 8, 20, 8, 20, 20, 8, 20]], (10, 12))
    expected = np.zeros((10, 12), dtype=bool)
    expected[1:4, 2:6] = True
    expected[8:, 8:] = True
    assert (decode(rle) == expected).all()


@pytest.mark.parametrize(
    ("segmentation", "found"),
    [
        ({"size": [5, 4], "counts": [0, 20]}, r"size \[5, 4\], expected \[4, 5\]"),
        ({"size": "4x5", "counts": [0, 20]}, "size 4x5"),
        ({"size": [4, 5], "counts": [0, 19]}, "covers 19 pixels, expected 4 x 5 = 20"),
        ({"size": [4, 5], "counts": [0, 10**9]}, "fit the picture"),
        ({"size": [4, 5], "counts": [30, -10]}, "fit the picture"),
        ({"size": [4, 5], "counts": [0, 20.0]}, "whole numbers"),
        ({"size": [4, 5], "counts": [20]}, "empty mask"),
        ({"size": [4, 5], "counts": "d0"}, "empty mask"),
        ({"size": [4, 5], "counts": ""}, "covers 0 pixels"),
        ({"size": [4, 5], "counts": "é!"}, "not a COCO run-length string"),
        ({"size": [4, 5], "counts": "oooooooooo0"}, "too long for any picture"),
        ({"size": [4, 5]}, "expected an RLE"),
        (None, "expected an RLE"),
        ("0a", "expected an RLE"),
        ([], "empty mask"),
        ([[1, 1, 2, 2]], "at least three corners"),
        ([[1, 1, 2, 2, 3, 3, 4]], "at least three corners"),
        ([[1, 1, 2, 2, 3, "a"]], "expected numbers"),
        ([[1, 1, 2, 2, 3, float("nan")]], "expected numbers"),
        ([[1, 1, 2, 2, 3, 1e12]], "far outside the picture of 4 x 5"),
        ([[20, 20, 30, 20, 30, 30]], "cover no pixel"),
    ],
)
def test_masks_that_cannot_be_used_are_described(segmentation: object, found: str) -> None:
    with pytest.raises(BadMaskError, match=found):
        read_segmentation(segmentation, (4, 5))


@settings(deadline=None)
@given(masks.filter(np.any))
def test_counts_in_bytes_are_those_in_text(mask: np.ndarray) -> None:
    rle = encode(mask)
    assert read_segmentation({**rle, "counts": rle["counts"].encode("ascii")}, mask.shape) == rle


@pytest.mark.parametrize(("counts", "found"), [(b"", "covers 0 pixels"), (b"!", "not a COCO run-length string")])
def test_counts_in_bytes_are_checked_as_text_is(counts: bytes, found: str) -> None:
    with pytest.raises(BadMaskError, match=found):
        read_segmentation({"size": [4, 5], "counts": counts}, (4, 5))
