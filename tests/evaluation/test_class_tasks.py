"""`referent classes` and what stands behind it, with a model of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from referent.data.loading import open_classes, open_dataset
from referent.errors import DataError
from referent.evaluation.class_tasks import evaluate_classes, possible_tasks
from referent.rle import encode
from referent.segmenter import load


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Three pictures of two classes, one of which shows both."""
    generator = np.random.default_rng(0)
    masks = []
    for picture, category in ((1, 1), (2, 2), (3, 1), (3, 2)):
        mask = np.zeros((40, 60), bool)
        mask[10:30, 30 * (category - 1) : 30 * category - 5] = True
        masks.append((picture, category, mask))
    for picture in (1, 2, 3):
        Image.fromarray(generator.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / f"{picture}.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 60, "height": 40, "split": "val"} for n in (1, 2, 3)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": picture, "category_id": category, "segmentation": encode(mask), "phrases": ["a cat"]}
            for n, (picture, category, mask) in enumerate(masks)
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_the_verb_scores_what_model_and_data_allow(run, coco, tiny_weights, tmp_path):
    out, drawn = tmp_path / "result.json", tmp_path / "maps"
    done = run("classes", tiny_weights, coco, "--out", out, "--draw", drawn)
    assert done.code == 0, done.err
    result = json.loads(out.read_text())
    assert (result["classes"], result["pictures"], result["split"]) == (["cat", "dog"], 3, "val")
    assert {task: scores["pictures"] for task, scores in result["tasks"].items()} == {
        "semantic": 3,
        "classification": 2,
    }
    iou = result["tasks"]["semantic"]["numbers"]["class-mIoU"]
    assert 0 <= iou["low"] <= iou["value"] <= iou["high"] <= 1
    assert result["command"].startswith("referent classes")
    assert "class-mIoU" in done.out
    assert len(list(drawn.glob("*.png"))) == 3


def test_the_verb_says_what_cannot_be_scored(run, coco, tiny_weights):
    done = run("classes", tiny_weights, coco, "--task", "detection")
    assert done.code == 2
    assert "detection cannot be scored" in done.err
    assert "possible: semantic, classification" in done.err
    unknown = run("classes", tiny_weights, coco, "--task", "panoptic")
    assert unknown.code == 2
    assert "expected semantic, detection, classification, found panoptic" in unknown.err


def test_folders_of_pictures_are_for_labels_alone(run, coco, tiny_weights, tmp_path):
    for name in ("cat", "dog"):
        folder = tmp_path / "folders" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (30, 30)).save(folder / "0.png")
    dataset = open_classes(tmp_path / "folders")
    model = load(tiny_weights)
    assert possible_tasks(model, dataset) == ("classification",)
    assert evaluate_classes(model, dataset).tasks["classification"].pictures == 2


def test_a_data_set_of_phrases_is_refused(coco, tiny_weights):
    with pytest.raises(DataError, match="expected class names, found phrases"):
        evaluate_classes(load(tiny_weights), open_dataset(coco))


def test_a_picture_that_cannot_be_read_is_left_out_and_named(coco, tiny_weights):
    dataset = open_classes(coco)
    (coco.parent / "2.png").write_bytes(b"no picture")
    result = evaluate_classes(load(tiny_weights), dataset)
    assert result.pictures == 2
    assert [Path(failure.picture).name for failure in result.failed] == ["2.png"]


def test_whatever_is_wrong_with_one_picture_does_not_cost_the_run(coco, tiny_weights, monkeypatch):
    model, dataset = load(tiny_weights), open_classes(coco)
    Image.new("RGB", (40, 60)).save(coco.parent / "1.png")
    look_at = model.look_at

    def fragile(picture):
        if picture.name == "2.png":
            raise ValueError("a fault of the model's")
        return look_at(picture)

    monkeypatch.setattr(model, "look_at", fragile)
    result = evaluate_classes(model, dataset)
    assert result.pictures == 1
    assert result.tasks["semantic"].pictures == 1
    assert [failure.error for failure in result.failed] == [
        f"{coco.parent / '1.png'}: the data set says 60 x 40, the picture is 40 x 60",
        "ValueError: a fault of the model's",
    ]


def test_a_run_without_any_answer_is_an_error(coco, tiny_weights):
    dataset = open_classes(coco)
    for number in (1, 2, 3):
        (coco.parent / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="no picture could be answered; the first: "):
        evaluate_classes(load(tiny_weights), dataset)


def test_a_limit_asks_pictures_of_all_classes_though_folders_stand_class_by_class(run, tiny_weights, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "val" / name).mkdir(parents=True)
        for number in (1, 2):
            Image.new("RGB", (30, 20)).save(tmp_path / "val" / name / f"{name}{number}.png")
    done = run("classes", tiny_weights, tmp_path, "--limit", 2, "--draw", tmp_path / "maps", "--json")
    result = json.loads(done.out)
    assert (result["limit"], result["pictures"]) == (2, 2)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["00000-cat1.png", "00001-dog1.png"]
    assert run("classes", tiny_weights, tmp_path, "--limit", 0).code == 2
