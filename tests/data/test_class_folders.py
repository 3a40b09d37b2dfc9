from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from referent.data.loading import open_classes
from referent.errors import DataError


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (6, 4)).save(folder / f"{number:02d}.png")


def test_every_name_is_asked_and_the_own_one_is_true_of_the_whole_picture(tmp_path):
    fill(tmp_path / "fire_engine", 1)
    fill(tmp_path / "cat", 1)
    dataset = open_classes(tmp_path)
    assert dataset.classes == ("cat", "fire engine")
    asked = [(str(sample.reference), sample.tags["kind"], int(sample.mask().sum())) for sample in dataset.samples]
    assert asked == [("cat", "name", 24), ("fire engine", "none", 0), ("cat", "none", 0), ("fire engine", "name", 24)]
    assert len({sample.id for sample in dataset.samples}) == 4


def test_a_tenth_is_held_out_where_the_folder_has_no_splits(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / name, 11)
    held_out = {sample.picture.name for sample in open_classes(tmp_path, "val").samples}
    assert held_out == {"09.png"}
    assert len(open_classes(tmp_path, "train").samples) == 2 * 2 * 10


def test_folders_of_splits_are_splits(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b"):
            fill(tmp_path / split / name, 1)
    assert {sample.split for sample in open_classes(tmp_path).samples} == {"train", "test"}
    assert len(open_classes(tmp_path, "test").samples) == 4
    with pytest.raises(DataError, match=r"no split 'val'; there are: test, train"):
        open_classes(tmp_path, "val")


def test_a_folder_without_classes_and_a_broken_picture_are_told(tmp_path):
    fill(tmp_path / "a", 1)
    with pytest.raises(DataError, match="two or more classes, found 1"):
        open_classes(tmp_path)
    fill(tmp_path / "b", 1)
    (tmp_path / "b" / "00.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"00\.png"):
        open_classes(tmp_path)
    assert len(open_classes(tmp_path, on_problem="skip").samples) == 2
