"""All class names asked of one picture, of systems that answer as a test tells them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from referent.asking import AnyLook, AnySegmenter
from referent.by_class import class_map, classify, detect
from referent.errors import ReferentError
from referent.models.base import Batch, Candidates, Output, SegmentationModel
from referent.preparation import Preparation
from referent.reference import Reference
from referent.segmentation import Segmentation, box_of
from referent.segmenter import Segmenter

LEFT = np.array([[0.9, 0.9, 0.2, 0.2]], np.float32)
MIDDLE = np.array([[0.4, 0.95, 0.7, 0.1]], np.float32)
NOWHERE = np.array([[0.99, 0.99, 0.99, 0.99]], np.float32)


class Told(AnySegmenter):
    """Answers each phrase with a probability of its own; one named "ghost" is never found."""

    reference_kinds = frozenset({"phrase"})  # type: ignore[assignment]
    preparation = Preparation(threshold=0.5)

    def __init__(self, **replies: NDArray[np.float32]) -> None:
        super().__init__("told", cache_bytes=0)
        self.replies = replies

    def _looked(self, images: Sequence[Image.Image], sources: Sequence[Any]) -> AnyLook:
        return _Look(self, images)


class _Look(AnyLook):
    nbytes = 0  # type: ignore[assignment]

    def answers(self, questions: Sequence[tuple[int, Reference]]) -> Iterator[Segmentation]:
        for _, reference in questions:
            owner = self._owner
            assert isinstance(owner, Told)
            probability = owner.replies[str(reference)]
            found, score = str(reference) != "ghost", float(probability.mean())
            mask = probability > 0.5
            yield Segmentation(mask, probability, box_of(mask), score, found, reference, "told", self.pictures[0])


def look() -> AnyLook:
    return Told(left=LEFT, middle=MIDDLE, ghost=NOWHERE).look_at(Image.new("RGB", (4, 1)))


def test_every_pixel_gets_the_most_probable_class_or_background() -> None:
    answer = class_map(look(), ["left", "middle"])
    assert answer.labels.tolist() == [[1, 2, 2, 0]]
    assert class_map(look(), ["left", "middle"], background=0.8).labels.tolist() == [[1, 2, 0, 0]]
    assert class_map(look(), ["middle", "left"], background=0).labels.tolist() == [[2, 1, 1, 2]]


def test_a_class_that_is_not_in_the_picture_gets_no_pixel() -> None:
    assert class_map(look(), ["ghost", "left"]).labels.tolist() == [[2, 2, 0, 0]]


def test_a_class_map_is_saved_as_labels_and_drawn(tmp_path: Path) -> None:
    answer = class_map(look(), ["left", "middle"])
    answer.save(tmp_path / "map.png")
    assert np.asarray(Image.open(tmp_path / "map.png")).tolist() == [[1, 2, 2, 0]]
    many = class_map(look(), ["ghost"] * 300 + ["left"])
    many.save(tmp_path / "many.png")
    assert np.asarray(Image.open(tmp_path / "many.png")).tolist() == [[301, 301, 0, 0]]
    assert answer.overlay().size == (4, 1)


def test_a_model_without_a_label_head_classifies_by_its_scores() -> None:
    assert classify(look(), ["left", "middle"]) == pytest.approx([LEFT.mean(), MIDDLE.mean()])


def test_boxes_of_a_model_without_a_box_head_are_refused() -> None:
    with pytest.raises(ReferentError, match="told gives no boxes"):
        detect(look(), ["left"])


class Boxed(SegmentationModel):
    """Whatever is asked: two boxes that overlap, one far away and one that is not worth mention."""

    gives_boxes = gives_labels = True

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(1, 1)

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        corners = torch.tensor([[0.0, 0, 20, 20], [1, 0, 20, 20], [20, 20, 40, 60], [0, 0, 40, 40]])
        scores = torch.tensor([2.0, 3.0, 1.0, -9.0]).expand(len(batch.tokens), 4)
        label = (batch.tokens == batch.tokens[0]).all(1).float() * 3
        boxes = Candidates(corners.expand(len(scores), 4, 4), scores, scores, torch.zeros(4, 3))
        return Output(torch.zeros(len(scores), 1, 4, 4), label=label, boxes=boxes)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        raise NotImplementedError


def boxed() -> AnyLook:
    return Segmenter(Boxed(), Preparation(size=40), device="cpu").look_at(Image.new("RGB", (80, 80)))


def test_boxes_come_back_to_the_picture_one_an_object_and_the_best_first() -> None:
    found = detect(boxed(), ["a cat"])
    assert [one.name for one in found] == ["a cat", "a cat"]
    assert [one.score for one in found] == pytest.approx([0.9526, 0.7311], abs=1e-4)
    # Twice as large as the model's square; half a pixel's shift is the letterbox's; cut where the picture ends.
    assert found[0].box == pytest.approx((1, 0, 39, 39), abs=1.01)
    assert found[1].box[3] == 80


def test_names_are_asked_in_passes_and_keep_their_own_boxes() -> None:
    names = [f"thing {number}" for number in range(40)]
    found = detect(boxed(), names)
    assert len(found) == 80
    assert {one.name for one in found} == set(names)


def test_a_label_head_gives_probabilities_over_all_names() -> None:
    probabilities = classify(boxed(), [f"thing {number}" for number in range(3)])
    assert probabilities.sum() == pytest.approx(1)
    assert probabilities.argmax() == 0
