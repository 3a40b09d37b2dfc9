"""Pictures that some of RefCOCO's family test on are known whatever their file is called."""

from pathlib import Path

import pytest
from published_data import annotation, ref, write_refer

from referent.data.published.held_out import held_out, identity
from referent.errors import DataError


def test_a_picture_of_coco_has_one_identity_under_both_of_its_names() -> None:
    assert identity("COCO_train2014_000000000011.jpg") == identity("000000000011.jpg") == "000000000011"
    assert identity("objects365_v1_00000011.jpg") == "objects365_v1_00000011.jpg"


def test_what_any_of_the_sets_tests_on_is_held_out(tmp_path: Path) -> None:
    annotations = [annotation(number, number) for number in (11, 12, 13, 14)]
    first = [ref(1, 11, 11, "train", ["a"]), ref(2, 12, 12, "val", ["b"]), ref(3, 13, 13, "train", ["c"])]
    second = [ref(1, 11, 11, "testA", ["a"]), ref(2, 13, 13, "train", ["b"]), ref(3, 14, 14, "testB", ["c"])]
    paths = [
        write_refer(tmp_path / "refcoco", first, annotations),
        write_refer(tmp_path / "refcoco+", second, annotations),
    ]
    assert held_out(paths) == {f"{number:012d}" for number in (11, 12, 14)}
    assert held_out(paths[:1]) == {f"{12:012d}"}


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder with refs"):
        held_out([tmp_path])
