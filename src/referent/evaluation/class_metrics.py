"""Numbers of answers by class: IoU of class maps, COCO's average precision of boxes, accuracy of labels.

All are in [0, 1], and a number that nothing was counted for is missing. Intervals come from a bootstrap over pictures.
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
from referent.evaluation.average_precision import NUMBERS, drawn_precisions
from referent.evaluation.metrics import Draws, Interval, mean, ratios
from referent.rle import decode
from referent.segmentation import box_of

_TOP = (1, 5)


class MapCounts:
    """Pixels of class maps, by picture.

    Args:
        names: classes; label k is `names[k - 1]`, 0 is background.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.right: list[NDArray[np.int64]] = []
        self.either: list[NDArray[np.int64]] = []
        self.pixels: list[int] = []

    def add(self, truth: NDArray[np.int32], answer: NDArray[np.int32]) -> None:
        """One picture's labels, both (H, W)."""
        size = len(self.names) + 1
        right, true, answered = (
            np.bincount(labels.ravel(), minlength=size) for labels in (truth[truth == answer], truth, answer)
        )
        self.right.append(right)
        self.either.append(true + answered - right)
        self.pixels.append(truth.size)

    def intervals(self, replicates: int, seed: int) -> dict[str, Interval]:
        """`class-mIoU` over classes that are true or answered anywhere, background left out; with it,
        `class-mIoU-background`; and `pixel-accuracy` with it."""
        if not self.pixels:
            return {}
        every = np.arange(len(self.pixels))
        right, either = np.array(self.right, float), np.array(self.either, float)
        ious = ratios(right, either, every, replicates, seed)
        pixels = np.array(self.pixels, float)[:, None]
        (accuracy,) = ratios(right.sum(1, keepdims=True), pixels, every, replicates, seed)
        drawn = {"class-mIoU": mean(ious[1:]), "class-mIoU-background": mean(ious), "pixel-accuracy": accuracy}
        return _defined(drawn)

    def numbers(self) -> dict[str, float]:
        """`intervals` without their ends."""
        return _values(self.intervals(0, 0))

    def by_class(self) -> dict[str, float]:
        """IoU of each class that is true or answered anywhere."""
        right, either = np.sum(self.right, axis=0), np.sum(self.either, axis=0)
        return {
            name: float(right[number] / either[number])
            for number, name in enumerate(self.names, 1)
            if self.pixels and either[number]
        }


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
        found = zip(NUMBERS, self._evaluated().stats, strict=False) if self.truth else ()
        return {name: float(value) for (name, _, _), value in found if value >= 0}

    def intervals(self, replicates: int, seed: int) -> dict[str, Interval]:
        """`numbers` with their intervals."""
        return _defined(drawn_precisions(self._evaluated(), replicates, seed)) if self.truth else {}

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

    def intervals(self, replicates: int, seed: int) -> dict[str, Interval]:
        """`top-1`, with more than five classes `top-5`, and `class-top-1`, the mean over classes."""
        if not self.places:
            return {}
        places = np.concatenate([np.array(places) for places in self.places.values()])
        classes = np.repeat(np.arange(len(self.places)), [len(places) for places in self.places.values()])
        tops = [top for top in _TOP if top == 1 or len(self.names) > top]
        right, every = places[:, None] < np.array(tops), np.arange(len(places))
        drawn = dict(
            zip(
                [f"top-{top}" for top in tops],
                ratios(right.astype(float), np.ones(right.shape), every, replicates, seed),
                strict=True,
            )
        )
        belongs = (classes[:, None] == np.arange(len(self.places))).astype(float)
        drawn["class-top-1"] = mean(ratios(belongs * right[:, :1], belongs, every, replicates, seed))
        return _defined(drawn)

    def numbers(self) -> dict[str, float]:
        """`intervals` without their ends."""
        return _values(self.intervals(0, 0))

    def by_class(self) -> Mapping[str, float]:
        """Top-1 of each class that is true of a picture."""
        return {name: float(np.mean([place == 0 for place in places])) for name, places in self.places.items()}


def _defined(numbers: Mapping[str, Draws]) -> dict[str, Interval]:
    return {name: draws.interval() for name, draws in numbers.items() if np.isfinite(draws.value)}


def _values(intervals: Mapping[str, Interval]) -> dict[str, float]:
    return {name: interval.value for name, interval in intervals.items() if interval.value is not None}
