"""A published data set in its own layout, through its reader and the protocols."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from evaluation_stub import Stub
from PIL import Image

from referent.data.loading import open_dataset
from referent.evaluation.run import evaluate

WIDTH, HEIGHT = 40, 30
# 12 x 12 pixels each, of which 6 x 12 are common.
PARTS = [[2, 4, 14, 4, 14, 16, 2, 16], [8, 4, 20, 4, 20, 16, 8, 16]]


@pytest.fixture
def refcoco(tmp_path: Path) -> Path:
    """One picture with one object of two overlapping polygons, called two names."""
    folder, pictures = tmp_path / "refcoco", tmp_path / "train2014"
    for path in (folder, pictures):
        path.mkdir()
    Image.new("RGB", (WIDTH, HEIGHT)).save(pictures / "1.jpg")
    sentences = [{"sent_id": n, "sent": sent, "raw": sent.upper()} for n, sent in enumerate(("cat", "left cat"))]
    ref = {"ref_id": 7, "ann_id": 5, "image_id": 1, "category_id": 3, "split": "val", "sentences": sentences}
    (folder / "refs(unc).p").write_bytes(pickle.dumps([ref], protocol=2))
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3, "segmentation": PARTS, "bbox": [2, 4, 18, 12], "iscrowd": 0}
        ],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


def test_each_protocol_finds_in_the_data_what_it_needs(refcoco):
    """The answer to "cat" is all that either polygon covers, the answer to "left cat" nothing."""

    def reply(picture, phrase):
        probability = np.zeros((HEIGHT, WIDTH), dtype=np.float32)
        probability[4:16, 2 : 20 if phrase == "cat" else 2] = 0.9
        return probability, 0.9, phrase == "cat"

    data = open_dataset(refcoco, "val", pictures=refcoco.parent / "train2014")
    result = evaluate(Stub(reply), data, ("cris", "cris-val", "lavt", "reclip", "fss"), replicates=0)
    assert result.number("mIoU", "cris").value == pytest.approx(0.5)
    assert result.number("mIoU", "cris-val").value == pytest.approx(1)
    # Of the 18 x 12 pixels that are covered at all, two thirds are covered once.
    assert result.number("mIoU", "lavt").value == pytest.approx(2 / 3 / 2)
    assert result.number("accuracy", "reclip").value == 0.5
    assert result.number("class-mIoU", "fss").value == 0.5
    assert not any(note.startswith("truth") for note in result.scores["lavt"].notes)
    assert any(note.startswith("sentences: as cleaned") for note in result.scores["lavt"].notes)
