"""Class maps, boxes and labels scored: against numbers worked out by hand, and against pycocotools fed with files."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from referent.by_class import Detection
from referent.data.sample import Sample
from referent.evaluation import average_precision
from referent.evaluation.class_metrics import BoxCounts, LabelCounts, MapCounts, true_map
from referent.reference import Reference
from referent.rle import encode

NAMES = ("cat", "dog")


def ask(name: str, *boxes: tuple[int, int, int, int], crowds: int = 0, picture: str = "a.png") -> Sample:
    masks = []
    for x0, y0, x1, y1 in boxes:
        mask = np.zeros((100, 100), bool)
        mask[y0:y1, x0:x1] = True
        masks.append(encode(mask))
    return Sample(name, Path(picture), (100, 100), Reference.of(name), masks, tags={"name": name}, crowds=crowds)


def test_iou_of_class_maps_by_hand() -> None:
    counts = MapCounts(("cat", "dog", "cow"))
    counts.add(np.array([[1, 1, 2, 0]], np.int32), np.array([[1, 2, 2, 0]], np.int32))
    assert counts.by_class() == {"cat": 0.5, "dog": 0.5}  # nobody saw a cow, and nobody said so
    numbers = counts.numbers()
    assert numbers == pytest.approx({"class-mIoU": 0.5, "class-mIoU-background": 2 / 3, "pixel-accuracy": 0.75})
    counts.add(np.array([[0]], np.int32), np.array([[3]], np.int32))
    assert counts.by_class()["cow"] == 0


def test_the_smaller_of_two_things_is_seen_where_they_overlap() -> None:
    labels = true_map([ask("cat", (10, 10, 20, 20)), ask("dog", (0, 0, 50, 50))])
    assert (labels[15, 15], labels[5, 5], labels[60, 60]) == (1, 2, 0)


def test_average_precision_by_hand() -> None:
    counts = BoxCounts(NAMES)
    samples = [ask("cat", (0, 0, 50, 50), (50, 50, 100, 100)), ask("dog")]
    counts.add(samples, [Detection("cat", (0, 0, 50, 50), 0.9), Detection("dog", (0, 0, 50, 50), 0.8)])
    # One of two cats found, and nothing but it: precision 1 at the 51 recalls of 101 up to a half.
    assert counts.numbers()["AP50"] == pytest.approx(51 / 101)
    assert counts.by_class() == pytest.approx({"cat": 51 / 101})
    assert BoxCounts(NAMES).numbers() == {}


def test_a_box_on_a_crowd_is_neither_right_nor_wrong() -> None:
    detections = [Detection("cat", (0, 0, 50, 50), 0.9), Detection("cat", (60, 60, 90, 90), 0.95)]
    with_crowd, without = BoxCounts(NAMES), BoxCounts(NAMES)
    with_crowd.add([ask("cat", (0, 0, 50, 50), (55, 55, 100, 100), crowds=1), ask("dog")], detections)
    without.add([ask("cat", (0, 0, 50, 50)), ask("dog")], detections)
    assert with_crowd.numbers()["mAP"] == pytest.approx(1)
    assert without.numbers()["mAP"] == pytest.approx(0.5)


def test_average_precision_is_that_of_pycocotools_on_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    counts = BoxCounts(NAMES)
    truth, answers = [], []
    for picture in range(1, 7):
        samples, detections = [], []
        for category, name in enumerate(NAMES, 1):
            corners = generator.integers(0, 60, (3, 2))
            boxes = [(int(x), int(y), int(x) + 30, int(y) + 25) for x, y in corners]
            samples.append(ask(name, *boxes))
            for x0, y0, _, _ in boxes:
                record = {"image_id": picture, "category_id": category}
                area = {"area": 750, "iscrowd": 0, "id": len(truth) + 1}
                truth.append({**record, "bbox": [x0, y0, 30, 25], **area})
                moved = [float(value) for value in (x0 + generator.normal(0, 3), y0 + generator.normal(0, 3), 30, 25)]
                score = float(generator.random())
                detections.append(Detection(name, (moved[0], moved[1], moved[0] + 30, moved[1] + 25), score))
                answers.append({**record, "bbox": moved, "score": score})
        counts.add(samples, detections)
    content = {
        "images": [{"id": picture} for picture in range(1, 7)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": truth,
        "info": {},
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    (tmp_path / "answers.json").write_text(json.dumps(answers))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "truth.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(tmp_path / "answers.json")), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = counts.numbers()
    assert 0.2 < found["mAP"] < 0.95
    assert [found["mAP"], found["AP50"], found["AP75"]] == pytest.approx(evaluation.stats[:3].tolist(), abs=1e-9)
    assert found["mAP"] == pytest.approx(np.mean(list(counts.by_class().values())))


def scattered(pictures: list[int]) -> BoxCounts:
    """Pictures of made boxes, each known by its number, in the order given."""
    counts = BoxCounts(NAMES)
    for picture in pictures:
        generator = np.random.default_rng(picture)
        samples, detections = [], []
        for name in NAMES:
            corners = generator.integers(0, 60, (generator.integers(0, 4), 2)).tolist()
            samples.append(ask(name, *((x, y, x + 30, y + 25) for x, y in corners), picture=f"{picture}.png"))
            for x, y in [*corners, [70, 70]]:
                x, y = x + generator.normal(0, 3), y + generator.normal(0, 3)
                detections.append(Detection(name, (x, y, x + 30, y + 25), float(generator.random())))
        counts.add(samples, detections)
    return counts


def test_a_picture_drawn_twice_counts_its_boxes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [0, 2, 2, 3, 5, 5, 5]
    weights = np.bincount(drawn, minlength=6)[None].astype(float)
    monkeypatch.setattr(average_precision, "resamples", lambda *_: iter([weights]))
    found = average_precision.drawn_precisions(scattered(list(range(6)))._evaluated(), 1, 0)
    again = scattered(drawn).numbers()
    assert 0.1 < again["mAP"] < 0.9
    assert {name: draws.drawn[0] for name, draws in found.items() if name in again} == pytest.approx(again)


def test_intervals_hold_their_numbers_and_come_from_the_pictures() -> None:
    maps, labels = MapCounts(NAMES), LabelCounts(NAMES)
    for picture in range(12):
        truth = np.ones((4, 4), np.int32)
        answer = truth.copy()
        answer[: picture % 4] = 2
        maps.add(truth, answer)
        labels.add(NAMES[picture % 2], np.array([0.9, 0.1] if picture % 3 else [0.1, 0.9], np.float32))
    for counts in (maps, labels, scattered(list(range(8)))):
        intervals = counts.intervals(200, 0)
        assert {name: interval.value for name, interval in intervals.items()} == pytest.approx(counts.numbers())
        assert intervals == counts.intervals(200, 0)
        for name, interval in intervals.items():
            low, value, high = interval.low or 0, interval.value or 0, interval.high or 0
            assert low <= value <= high, name
            assert low < high, name


def test_labels_are_counted_by_the_place_of_the_true_one_and_a_tie_is_no_answer() -> None:
    counts = LabelCounts(NAMES)
    for true, probabilities in (("cat", [0.9, 0.1]), ("cat", [0.2, 0.8]), ("cat", [0.9, 0.1]), ("dog", [0.5, 0.5])):
        counts.add(true, np.array(probabilities, np.float32))
    assert counts.by_class() == pytest.approx({"cat": 2 / 3, "dog": 0})
    assert counts.numbers() == pytest.approx({"top-1": 0.5, "class-top-1": 1 / 3})
