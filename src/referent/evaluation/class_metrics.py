"""Numbers of answers by class: IoU of class maps, COCO's average precision of boxes, accuracy of labels.

All are in [0, 1], and a number that nothing was counted for is missing.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.by_class import Detection
from referent.data.sample import Sample
from referent.rle import decode
from referent.segmentation import box_of

# Of COCOeval's twelve numbers, the first six and what COCO calls them.
_AVERAGE_PRECISIONS = ("mAP", "AP50", "AP75", "AP-small", "AP-medium", "AP-large")
_TOP = (1, 5)


class MapCounts:
    """Pixels by true and answered class.

    Args:
        names: classes; label k is `names[k - 1]`, 0 is background.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.pixels = np.zeros((len(names) + 1,) * 2, dtype=np.int64)

    def add(self, truth: NDArray[np.int32], answer: NDArray[np.int32]) -> None:
        """One picture's labels, both (H, W)."""
        size = len(self.pixels)
        self.pixels += np.bincount(truth.ravel() * size + answer.ravel(), minlength=size * size).reshape(size, size)

    def numbers(self) -> dict[str, float]:
        """`class-mIoU` over classes that are true or answered anywhere, background left out; with it,
        `class-mIoU-background`; and `pixel-accuracy` with it."""
        iou = self._ious()
        found = {"pixel-accuracy": np.trace(self.pixels) / max(self.pixels.sum(), 1)}
        for name, values in (("class-mIoU", iou[1:]), ("class-mIoU-background", iou)):
            if not np.isnan(values).all():
                found[name] = np.nanmean(values)
        return {name: float(value) for name, value in sorted(found.items())}

    def by_class(self) -> dict[str, float]:
        """IoU of each class that is true or answered anywhere."""
        return {name: float(iou) for name, iou in zip(self.names, self._ious()[1:], strict=True) if not np.isnan(iou)}

    def _ious(self) -> NDArray[np.float64]:
        right = np.diagonal(self.pixels)
        either = self.pixels.sum(0) + self.pixels.sum(1) - right
        return np.where(either > 0, right / np.maximum(either, 1), np.nan)


def true_map(samples: Sequence[Sample]) -> NDArray[np.int32]:
    """(H, W) labels of a picture from the samples that ask every class name of it, in order of class.

    Where objects overlap, the smaller one is seen: it lies in front more often, and would otherwise be lost.
    """
    labels = np.zeros(samples[0].size, dtype=np.int32)
    masks = [(number, decode(target)) for number, sample in enumerate(samples, 1) for target in sample.targets]
    for number, mask in sorted(masks, key=lambda item: -int(item[1].sum())):
        labels[mask] = number
    return labels


@dataclass
class BoxCounts:
    """Boxes of all pictures, for COCO's average precision by pycocotools.

    Attributes:
        names: classes, as phrases.
        truth, answers: records as COCO has them.
        pictures: how many.
    """

    names: Sequence[str]
    truth: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    pictures: int = 0

    def add(self, samples: Sequence[Sample], detections: Sequence[Detection]) -> None:
        """One picture: the samples that ask every class name of it, and what was detected."""
        self.pictures += 1
        numbers = {name: number for number, name in enumerate(self.names, 1)}
        for number, sample in enumerate(samples, 1):
            first_crowd = len(sample.targets) - sample.crowds
            for place, target in enumerate(sample.targets):
                mask = decode(target)
                record = {"bbox": _sides(box_of(mask) or (0, 0, 0, 0)), "area": int(mask.sum())}
                self.truth.append(self._record(number, **record, iscrowd=int(place >= first_crowd)))
        for one in detections:
            self.answers.append(self._record(numbers[one.name], bbox=_sides(one.box), score=one.score))

    def _record(self, category: int, **content: Any) -> dict[str, Any]:
        return {"image_id": self.pictures, "category_id": category, **content}

    def numbers(self) -> dict[str, float]:
        """`mAP` (IoU 0.5 to 0.95), `AP50`, `AP75` and mAP by size, as COCO defines them; none without true boxes."""
        found = dict(zip(_AVERAGE_PRECISIONS, self._evaluated().stats, strict=False)) if self.truth else {}
        return {name: float(value) for name, value in found.items() if value >= 0}

    def by_class(self) -> dict[str, float]:
        """mAP of each class that has true boxes."""
        if not self.truth:
            return {}
        precision = self._evaluated().eval["precision"][:, :, :, 0, -1]  # IoU, recall, class, all sizes, most boxes
        means = {name: precision[:, :, number] for number, name in enumerate(self.names)}
        return {name: float(values.mean()) for name, values in means.items() if (values >= 0).all()}

    def _evaluated(self) -> Any:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO()
            truth.dataset = {
                "images": [{"id": number} for number in range(1, self.pictures + 1)],
                "categories": [{"id": number, "name": name} for number, name in enumerate(self.names, 1)],
                "annotations": [{"id": number, **record} for number, record in enumerate(self.truth, 1)],
            }
            truth.createIndex()
            evaluation = COCOeval(truth, _answers(truth, self.answers), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation


def _answers(truth: Any, records: list[dict[str, Any]]) -> Any:
    from pycocotools.coco import COCO

    answers = COCO()
    answers.dataset = {
        "images": truth.dataset["images"],
        "categories": truth.dataset["categories"],
        "annotations": [
            {"id": number, "area": record["bbox"][2] * record["bbox"][3], "iscrowd": 0, **record}
            for number, record in enumerate(records, 1)
        ],
    }
    answers.createIndex()
    return answers


def _sides(box: Sequence[float]) -> list[float]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]


@dataclass
class LabelCounts:
    """Places of the true class among the answered ones, of all pictures that show exactly one class.

    Attributes:
        names: classes.
        places: by class, from 0.
    """

    names: Sequence[str]
    places: dict[str, list[int]] = field(default_factory=dict)

    def add(self, true: str, probabilities: NDArray[np.float32]) -> None:
        """One picture: its class, and (len(names),) how likely each is. A tie counts against the answer."""
        own = probabilities[self.names.index(true)]
        self.places.setdefault(true, []).append(int((probabilities >= own).sum()) - 1)

    def numbers(self) -> dict[str, float]:
        """`top-1`, with more than five classes `top-5`, and `class-top-1`, the mean over classes."""
        every = np.array([place for places in self.places.values() for place in places])
        if not len(every):
            return {}
        found = {f"top-{top}": float((every < top).mean()) for top in _TOP if top == 1 or len(self.names) > top}
        return {**found, "class-top-1": float(np.mean(list(self.by_class().values())))}

    def by_class(self) -> Mapping[str, float]:
        """Top-1 of each class that is true of a picture."""
        return {name: float(np.mean([place == 0 for place in places])) for name, places in self.places.items()}
