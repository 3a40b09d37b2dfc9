"""PhraseCut in its own layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from published_data import HEIGHT, WIDTH, task, write_phrasecut

from referent.data.loading import open_dataset

SQUARE = [[2.9, 3.2], [10.7, 3.2], [10.7, 8.9], [2.9, 8.9]]
OTHER = [[20, 3], [25, 3], [25, 8], [20, 8]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    val = [task("5__1", 5, "white cat", [[SQUARE]]), task("5__2", 5, "two dogs", [[SQUARE], [OTHER]], "dog")]
    return write_phrasecut(tmp_path / "VGPhraseCut_v0", {"train": [task("7__1", 7, "a cat", [[OTHER]])], "val": val})


def test_every_task_is_a_sample(folder: Path) -> None:
    samples = open_dataset(folder).samples
    found = {sample.id: (str(sample.reference), len(sample.targets), sample.split, sample.tags) for sample in samples}
    assert found == {
        "7__1": ("a cat", 1, "train", {"name": "cat"}),
        "5__1": ("white cat", 1, "val", {"name": "cat"}),
        "5__2": ("two dogs", 2, "val", {"kind": "plural", "name": "dog"}),
    }
    assert samples[1].picture == folder / "images" / "5.jpg"
    assert [sample.id for sample in open_dataset(folder, "train").samples] == ["7__1"]


def test_corners_are_cut_to_whole_numbers_and_the_border_belongs_to_the_mask(folder: Path) -> None:
    sample = open_dataset(folder, "val").samples[0]
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[3:9, 2:11] = True
    assert (sample.mask() == expected).all()
    assert (sample.mask("once") == expected).all()
