"""A detector asked for everything in every picture: COCO's average precision of its boxes, by pycocotools."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from referent.data.sample import Dataset
from referent.errors import DataError
from referent.evaluation.class_metrics import BoxCounts
from referent.picture import read_picture
from referent.segmenter import Segmenter


def evaluate_objects(segmenter: Segmenter, dataset: Dataset) -> Mapping[str, float]:
    """`mAP`, `AP50`, `AP75` and mAP by size, in [0, 1]; over one class where the model does not tell classes apart.

    Args:
        segmenter: of a model that detects (`SegmentationModel.classes`).
        dataset: pictures with all their objects, whose labels are places in `dataset.classes`.

    Raises:
        DataError: the model detects nothing, or other classes.
        PictureError: a picture that cannot be used.
    """
    model = segmenter.model
    if model.classes not in (1, len(dataset.classes)):
        raise DataError(
            f"{dataset.name}: {len(dataset.classes)} classes, and {segmenter.name} "
            + (f"detects {model.classes}" if model.classes else "detects none")
        )
    counts = BoxCounts(dataset.classes if model.classes > 1 else ("object",))
    for sample in dataset.samples:
        picture = read_picture(sample.picture)
        image = segmenter.preparation.picture(picture)[None].to(segmenter.engine.device)
        with torch.inference_mode():
            (found,) = model.detect(image)
        boxes = segmenter.preparation.restore_boxes(found.corners, (picture.height, picture.width))
        counts.pictures += 1
        for box, label in zip(sample.boxes, sample.labels, strict=True):
            assert box is not None
            area = box[2] * box[3]
            counts.truth.append(_record(counts, label, bbox=list(box), area=area, iscrowd=0))
        for (x0, y0, x1, y1), score, label in zip(
            boxes.tolist(), found.score.tolist(), found.label.tolist(), strict=True
        ):
            counts.answers.append(_record(counts, label, bbox=[x0, y0, x1 - x0, y1 - y0], score=score))
    return counts.numbers()


def _record(counts: BoxCounts, label: int, **content: object) -> dict[str, object]:
    number = label + 1 if len(counts.names) > 1 else 1
    return {"image_id": counts.pictures, "category_id": number, **content}
