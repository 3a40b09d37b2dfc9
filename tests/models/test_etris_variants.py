"""ETRIS's box and label heads: what every model must do, and what is their own."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from pydantic import ValidationError

from referent.encoders.mobilenet import MobileNetV2Config
from referent.errors import WeightsError
from referent.layers.projector import ProjectorConfig
from referent.models.base import Batch, Boxes, Candidates
from referent.models.etris import ETRIS, ETRISConfig
from referent.models.etris.config import NeckConfig
from referent.models.etris.official import table
from referent.models.etris.variants.box_losses import (
    assigned,
    box_losses,
    centredness,
    focal,
    generalised_iou,
)
from referent.models.etris.variants.classification import label_loss
from referent.models.etris.variants.detection import BoxHead, BoxHeadConfig

from .base import ModelTester
from .test_etris import VIT, VIT_BRIDGER, narrow

HEAD = BoxHeadConfig(width=16, layers=1)


class TestETRISWithHeads(ModelTester):
    model_class = ETRIS
    configurations: ClassVar = {
        "resnet": narrow(label=True, boxes=HEAD),
        "vit": narrow(
            VIT_BRIDGER.model_dump(),
            image=VIT,
            neck=NeckConfig(stages=(0, 1, 2), width=16, heads=2),
            boxes=HEAD,
            label=True,
        ),
        "pocket": narrow(image=MobileNetV2Config(), boxes=HEAD, presence=True),
        "bridged late": narrow(
            {"places": ((2, 2), (3, 3))},
            image=MobileNetV2Config(),
            projector=ProjectorConfig(hidden=8, width=6, detail=True),
            boxes=HEAD,
        ),
    }

    def batch(self, pictures: int = 2, references: int = 4) -> Batch:
        plain = super().batch(pictures, references)
        corners = torch.tensor([[4.0, 4, 30, 40], [40, 8, 60, 30], [0, 0, 64, 64]])
        return replace(plain, boxes=Boxes(corners, torch.tensor([1, 1, 3])))

    def test_boxes_and_labels_are_given_for_every_reference(self, configuration: str) -> None:
        model = self.model(configuration)
        output = model(self.batch(2, 4))
        assert output.boxes is not None
        assert output.boxes.corners.shape == (4, 8 * 8 + 4 * 4 + 2 * 2, 4)
        assert output.boxes.score.shape == output.boxes.centre.shape == output.boxes.corners.shape[:2]
        assert (output.label is not None) == model.gives_labels
        assert model.gives_boxes
        assert model.for_inference() is model
        assert ((output.boxes.probability > 0) & (output.boxes.probability < 1)).all()


def test_a_box_head_needs_bridged_maps_and_official_weights_have_no_heads() -> None:
    with pytest.raises(ValidationError, match=r"boxes: the pyramid takes bridged maps.*found none"):
        ETRISConfig.model_validate(narrow({"places": ()}).model_dump() | {"boxes": {}})
    for change in ({"boxes": BoxHeadConfig()}, {"label": True}):
        with pytest.raises(WeightsError, match="no heads of ours"):
            table(ETRISConfig.r50().model_copy(update=change))


def test_places_stand_in_the_middle_of_what_they_see() -> None:
    head = BoxHead(HEAD, (4, 4, 4), (8, 16, 32), 6)
    found = head([torch.zeros(1, 4, 4, 6), torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 2)], torch.zeros(1, 6))
    assert found.places[0].tolist() == [4, 4, 8]
    assert found.places[23].tolist() == [44, 28, 8]
    assert found.places[-1].tolist() == [48, 16, 32]
    # At the start every box is two of its level's places wide, around its place, and improbable.
    assert torch.allclose(found.corners[0, -1], torch.tensor([16.0, -16, 80, 48]), atol=6)
    assert torch.allclose(found.score.sigmoid(), torch.tensor(0.01), atol=0.005)


def places(*strides: int, side: int = 128) -> torch.Tensor:
    rows = [
        (x * stride + stride / 2, y * stride + stride / 2, float(stride))
        for stride in strides
        for y in range(side // stride)
        for x in range(side // stride)
    ]
    return torch.tensor(rows)


def test_a_level_answers_for_boxes_of_its_size_near_their_middle() -> None:
    grid = places(4, 8, 16)
    corners = torch.tensor([[20.0, 20, 44, 44], [0, 0, 128, 120], [10, 10, 90, 90]])
    reference, place, thing = assigned(grid, Boxes(corners, torch.tensor([0, 0, 2])))
    strides = {number: set(grid[place[thing == number], 2].tolist()) for number in range(3)}
    assert strides[0] == {4}
    assert strides[1] == {16}
    assert strides[2] == {8}  # more than 32 pixels, and at most 64, to its farthest side
    assert reference[thing == 2].unique().tolist() == [2]
    middle = (corners[thing, :2] + corners[thing, 2:]) / 2
    assert ((grid[place, :2] - middle).abs() <= 1.5 * grid[place, 2:]).all()


def test_of_two_boxes_around_one_place_the_smaller_one_is_learnt_whatever_their_order() -> None:
    corners = torch.tensor([[20.0, 20, 60, 60], [28, 28, 52, 52]])
    for order in ([0, 1], [1, 0]):
        _, _, thing = assigned(places(8), Boxes(corners[order], torch.zeros(2, dtype=torch.int64)))
        assert (thing == order.index(1)).sum() == 4  # all places inside it that are near its middle
        assert (thing == order.index(0)).any()
    _, _, thing = assigned(places(8), Boxes(corners, torch.tensor([0, 1])))
    assert {0, 1} == set(thing.tolist())  # of two references, each has its own


def test_a_perfect_answer_costs_nearly_nothing_and_no_box_at_all_still_teaches() -> None:
    grid = places(8, 16)
    boxes = Boxes(torch.tensor([[20.0, 20, 44, 44]]), torch.tensor([0]))
    _, place, _ = assigned(grid, boxes)
    score = torch.full((1, len(grid)), -20.0)
    score[0, place] = 20
    near = centredness(grid[place, :2], boxes.corners.expand(len(place), 4)).clamp(1e-4, 1 - 1e-4)
    centre = torch.zeros(1, len(grid))
    centre[0, place] = torch.log(near / (1 - near))
    losses = box_losses(Candidates(boxes.corners.expand(1, len(grid), 4), score, centre, grid), boxes)
    assert losses["box_score"] < 1e-6
    assert losses["box"] < 1e-4
    nothing = Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    empty = box_losses(Candidates(torch.zeros(1, len(grid), 4), score, centre, grid), nothing)
    assert all(torch.isfinite(loss) for loss in empty.values())
    assert empty["box_score"] > 1  # what it took for a box is none
    with pytest.raises(ValueError, match=r"batch\.boxes"):
        box_losses(Candidates(torch.zeros(1, len(grid), 4), score, centre, grid), None)


def test_the_parts_of_the_box_losses_by_hand() -> None:
    one = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 2, 2]])
    other = torch.tensor([[0.0, 0, 2, 2], [2, 0, 3, 1], [1, 0, 3, 2]])
    assert generalised_iou(one, other).tolist() == pytest.approx([1, -1 / 3, 1 / 3], abs=1e-5)
    assert centredness(torch.tensor([[1.0, 1]]), torch.tensor([[0.0, 0, 4, 2]])).item() == pytest.approx(
        math.sqrt(1 / 3)
    )
    expected = -0.25 * 0.5**2 * math.log(0.5), -0.75 * 0.5**2 * math.log(0.5)
    assert focal(torch.zeros(2), torch.tensor([1.0, 0])).tolist() == pytest.approx(expected)


def test_the_label_loss_is_the_cross_entropy_of_each_pictures_names() -> None:
    logits = torch.tensor([1.0, 2, 0.5, 3, 0, 1])
    picture = torch.tensor([0, 0, 1, 1, 1, 2])
    target = torch.zeros(6, 1, 2, 2)
    target[[1, 2]] = 1
    by_hand = (
        torch.nn.functional.cross_entropy(logits[None, :2], torch.tensor([1]))
        + torch.nn.functional.cross_entropy(logits[None, 2:5], torch.tensor([0]))
    ) / 2  # the third picture shows nothing that was asked
    assert label_loss(logits, picture, target) == pytest.approx(by_hand.item())
    twice = torch.tensor([0.0, 1, 1])
    both = label_loss(twice, torch.zeros(3, dtype=torch.int64), torch.tensor([0.0, 1, 1])[:, None, None, None])
    assert both == pytest.approx(-math.log(2 * math.e / (1 + 2 * math.e)), abs=1e-6)  # either of two true ones will do
    assert label_loss(logits, picture, torch.zeros(6, 1, 2, 2)) == 0
