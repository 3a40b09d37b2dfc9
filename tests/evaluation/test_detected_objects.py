"""Detection without any reference, scored by COCO's rules."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from referent.data.detection import EVERY_OBJECT
from referent.data.sample import Dataset, Sample
from referent.errors import DataError
from referent.evaluation.objects import evaluate_objects
from referent.models.base import Batch, Found, Output, SegmentationModel
from referent.preparation import Preparation
from referent.segmenter import Segmenter

BOXES = [(4.0, 4.0, 30.0, 20.0), (50.0, 10.0, 20.0, 30.0)]


class Detector(SegmentationModel):
    """Finds in every picture the same two boxes, in pixels of a square of half the size."""

    def __init__(self, classes: int, labels: list[int]) -> None:
        super().__init__()
        self.classes, self.labels = classes, labels

    def detect(self, image: Tensor, sizes: Tensor | None = None) -> list[Found]:
        corners = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in BOXES]) / 2
        return [Found(corners, torch.tensor([0.9, 0.8]), torch.tensor(self.labels))]

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        raise AssertionError

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        raise AssertionError

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        raise AssertionError


def dataset(folder: Path) -> Dataset:
    picture = folder / "a.png"
    Image.new("RGB", (80, 80)).save(picture)
    sample = Sample("1", picture, (80, 80), EVERY_OBJECT, (), boxes=BOXES, labels=[2, 0])
    return Dataset("d", [sample], classes=("a", "b", "c"))


def segmenter(model: SegmentationModel) -> Segmenter:
    return Segmenter(model, Preparation(size=40, fit="squash"), device="cpu")


def test_the_right_boxes_score_all(tmp_path: Path) -> None:
    numbers = evaluate_objects(segmenter(Detector(3, [2, 0])), dataset(tmp_path))
    assert numbers["mAP"] == pytest.approx(1)
    assert numbers["AP50"] == pytest.approx(1)


def test_a_wrong_class_counts_unless_classes_are_not_told_apart(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    assert evaluate_objects(segmenter(Detector(3, [2, 1])), data)["mAP"] == pytest.approx(0.5)
    assert evaluate_objects(segmenter(Detector(1, [0, 0])), data)["mAP"] == pytest.approx(1)


@pytest.mark.parametrize(("classes", "message"), [(0, "detects none"), (5, "3 classes, and unnamed detects 5")])
def test_a_model_of_other_classes_is_refused(tmp_path: Path, classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_objects(segmenter(Detector(classes, [0, 0])), dataset(tmp_path))
