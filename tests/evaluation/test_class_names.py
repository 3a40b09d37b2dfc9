from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_stub import columns
from PIL import Image

from referent.data.class_names import class_names
from referent.data.coco import read_coco
from referent.rle import decode, encode


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures of three classes; the first has two cats, the second nothing."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (6, 4)).save(tmp_path / name)
    masks = [(1, columns(0)), (1, columns(2)), (2, columns(5))]
    content = {
        "images": [{"id": n, "file_name": f, "width": 6, "height": 4} for n, f in ((1, "a.png"), (2, "b.png"))],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "traffic_light"}, {"id": 3, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": c, "iscrowd": n % 2, "segmentation": encode(m), "area": 4}
            for n, (c, m) in enumerate(masks)
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_every_name_is_asked_of_every_picture(coco):
    samples = class_names(read_coco(coco)).samples
    assert [(s.picture.name, str(s.reference), s.tags["kind"]) for s in samples] == [
        ("a.png", "cat", "name"),
        ("a.png", "traffic light", "name"),
        ("a.png", "dog", "none"),
        ("b.png", "cat", "none"),
        ("b.png", "traffic light", "none"),
        ("b.png", "dog", "none"),
    ]
    assert len({sample.id for sample in samples}) == 6


def test_a_name_means_everything_of_its_class(coco):
    samples = class_names(read_coco(coco)).samples
    np.testing.assert_array_equal(samples[0].mask(), columns(0, 2))
    assert not samples[2].mask().any()


def test_the_verb_asks_class_names_of_a_file_without_phrases(run, coco, tiny_weights):
    result = json.loads(run("evaluate", tiny_weights, coco, "--split", "train", "--class-names", "--json").out)
    assert (result["phrases"], result["absent"], result["pictures"]) == (6, 4, 2)
    assert result["dataset"].endswith("instances.json, class names")
    only = run("evaluate", tiny_weights, coco, "--split", "train", "--class-names", "--kind", "name", "--json")
    assert json.loads(only.out)["phrases"] == 2


def test_crowds_are_counted_and_stand_last(coco):
    cat = class_names(read_coco(coco)).samples[0]
    assert cat.crowds == 1
    np.testing.assert_array_equal([decode(target) for target in cat.targets], [columns(0), columns(2)])
