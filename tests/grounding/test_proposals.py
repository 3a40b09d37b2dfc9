from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from referent.errors import DataError
from referent.grounding.proposals.base import Candidate, Proposals
from referent.grounding.proposals.from_file import FileProposals
from referent.grounding.proposals.pocket import PocketProposals
from referent.grounding.proposals.sam import distinct
from referent.rle import decode, encode

from .tiny import picture

BOXES = [[3, 4, 20, 17], [30.5, 10.5, 12, 9]]
NAME = "COCO_train2014_000000581857.jpg"
MASK = encode(np.pad(np.ones((9, 12), dtype=bool), ((10, 29), (30, 22))))
COCO = {
    "images": [{"id": 7, "file_name": f"train2014/{NAME}"}, {"id": 8, "file_name": "empty.jpg"}],
    "annotations": [
        {"image_id": 7, "bbox": BOXES[0], "score": 0.9},
        {"image_id": 7, "bbox": BOXES[1], "segmentation": MASK, "score": 0.2},
    ],
}
FORMS: dict[str, Any] = {
    "coco": COCO,
    "results": [{"image_id": 581857, "bbox": box, "score": 0.5, "category_id": 1} for box in BOXES],
    "official list": [{"image_id": "581857", "box": box} for box in BOXES],
    "official dict": {"581857": BOXES, "1": []},
    "by stem": {NAME.removesuffix(".jpg"): BOXES},
}


def written(folder: Path, content: object) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_file_gives_its_boxes_by_file_name_or_id(tmp_path: Path, form: str) -> None:
    proposals = FileProposals(written(tmp_path, FORMS[form])).propose(picture(), Path("photos") / NAME)
    np.testing.assert_array_equal(proposals.boxes, BOXES)
    assert proposals.notes == ()


def test_masks_of_a_coco_file_come_with_their_boxes(tmp_path: Path) -> None:
    proposals = FileProposals(written(tmp_path, COCO)).propose(picture(), NAME)
    assert proposals.masks[0] is None
    assert proposals.masks[1] is not None
    assert decode(proposals.masks[1]).sum() == 9 * 12


def test_boxes_below_the_score_are_left_out(tmp_path: Path) -> None:
    assert len(FileProposals(written(tmp_path, COCO), min_score=0.5).propose(picture(), NAME)) == 1


def test_a_picture_in_which_nothing_was_found_is_one_proposal(tmp_path: Path) -> None:
    proposals = FileProposals(written(tmp_path, COCO)).propose(picture(), "empty.jpg")
    assert proposals.boxes.tolist() == [[0, 0, 64, 48]]
    assert proposals.notes == ("no proposals: the answer is the whole picture",)


def test_a_file_about_other_pictures_is_an_error_that_names_both(tmp_path: Path) -> None:
    source = FileProposals(written(tmp_path, FORMS["official dict"]))
    with pytest.raises(DataError, match=r"boxes.json: no proposals for cat_3.jpg; .* other pictures: 1, 581857"):
        source.propose(picture(), "cat_3.jpg")
    with pytest.raises(DataError, match="knows pictures by file name; expected a path, found Image"):
        source.propose(picture(), picture())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"images": [], "annotations": [{"image_id": 3, "bbox": [1, 2, 3, 4]}]},
            "annotation 0: expected the `image_id`",
        ),
        ([{"box": [1, 2, 3, 4]}], "record 0: expected an object with `image_id`"),
        ([{"image_id": 1, "box": [1, 2, 3]}], r"record 0: expected a box \[x, y, width, height\], found \[1, 2, 3\]"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": "high"}], "record 0: `score`: expected a number"),
        (
            {"images": [], "annotations": [{"image_id": [], "bbox": [1, 2, 3, 4]}]},
            "annotation 0: expected the `image_id`",
        ),
        ({"1": [[1, 2, 3, "4"]]}, "picture 1, box 0: expected a box"),
        ({"1": {"boxes": []}}, "expected a COCO file, COCO results"),
        ("boxes", "expected a COCO file, COCO results"),
    ],
)
def test_a_file_of_no_known_form_is_named_with_its_place(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FileProposals(written(tmp_path, content))


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        FileProposals(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken.json: line 1, column 2"):
        FileProposals(tmp_path / "broken.json")


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"boxes.json: proposal \[30.5, .*RLE of size"):
        FileProposals(written(tmp_path, COCO)).propose(picture(50, 40), NAME)


@pytest.mark.parametrize(
    "box", [(70, 5, 4, 4), (-9, 5, 9, 4), (5, 48, 3, 3), (5, 5, 0, 4), (5, 5, -3, 4), (float("nan"), 5, 3, 4)]
)
def test_boxes_outside_the_picture_or_without_area_are_left_out(box: tuple[float, ...]) -> None:
    proposals = Proposals.of([Candidate((1, 1, 5, 5)), Candidate(box)], (48, 64))  # type: ignore[arg-type]
    assert proposals.boxes.tolist() == [[1, 1, 5, 5]]
    assert proposals.notes == ("1 of 2 proposals left out: empty, or outside the picture",)


def test_of_boxes_that_overlap_much_the_first_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [30, 0, 5, 5], [30, 0, 5, 5.1]])
    assert distinct(boxes) == [0, 2]
    assert distinct(np.zeros((0, 4))) == []


def test_masks_of_our_own_model_are_proposals(tiny_weights: Path) -> None:
    source = PocketProposals(tiny_weights, "cpu", names=("dog", "cat"))
    proposals = source.propose(picture(), NAME)
    assert source.name == "masks of tiny-cris"
    assert len(proposals) >= 1
    for box, mask in zip(proposals.boxes, proposals.masks, strict=True):
        if mask is not None:
            x, y, width, height = box.astype(int)
            assert decode(mask)[y : y + height, x : x + width].any()
