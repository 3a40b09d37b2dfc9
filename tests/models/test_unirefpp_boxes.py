"""UniRef++'s training on detection: several objects a picture, and masks learnt from boxes alone (BoxInst)."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab
from torch import Tensor

from referent.models.base import Batch, Boxes, Prepared
from referent.models.unirefpp import UniRef
from referent.models.unirefpp.boxinst import alike, filled, neighbours, pairwise, projection, warmth
from referent.models.unirefpp.colour import lab_of
from referent.models.unirefpp.criterion import objects_in
from referent.models.unirefpp.detection import told_apart
from referent.models.unirefpp.matching import Objects, best_proposal

from .test_unirefpp import awake, config, pictures

UNCHANGED = Prepared(torch.zeros(3), torch.ones(3), torch.ones(1))


def test_two_objects_with_the_same_best_proposal_share_out_to_the_cheapest_pair() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.55, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
    wanted = torch.tensor([[0.51, 0.5, 0.2, 0.2], [0.49, 0.5, 0.2, 0.2]])
    match = best_proposal(torch.zeros(3, 1), boxes, Objects(torch.zeros(2).long(), wanted, None))
    assert (match.queries.tolist(), match.objects.tolist()) == ([0, 1], [1, 0])


@given(st.integers(0, 2**32 - 1))
def test_lab_is_that_of_scikit_image(seed: int) -> None:
    rgb = np.random.default_rng(seed).random((4, 5, 3))
    ours = lab_of(torch.from_numpy(rgb).permute(2, 0, 1)).permute(1, 2, 0).numpy()
    assert np.abs(ours - rgb2lab(rgb)).max() < 1e-3


class TestColours:
    def test_neighbours_are_two_away_in_reading_order(self) -> None:
        grid = torch.arange(25.0).reshape(1, 1, 5, 5)
        assert neighbours(grid)[0, 0, :, 2, 2].tolist() == [0, 2, 4, 10, 14, 20, 22, 24]
        assert neighbours(grid)[0, 0, :, 0, 0].tolist() == [0, 0, 0, 0, 2, 0, 10, 12]

    def test_one_colour_is_alike_and_two_are_not(self) -> None:
        image = torch.zeros(1, 3, 40, 40)
        image[:, 0, :, 20:] = 1
        found = alike(image, torch.tensor([[40, 40]]), UNCHANGED, 10, 10, "rgb")
        assert found[0, 4, 2, :8].tolist() == [True, True, True, False, False, True, True, True]
        assert not found[0, 4, 2, 8:].any()  # beyond the picture

    def test_what_lies_around_a_picture_and_its_lowest_rows_are_like_nothing(self) -> None:
        grey = torch.full((1, 3, 64, 64), 0.5)
        scaled = Prepared(torch.zeros(3), torch.ones(3), torch.tensor([0.8]))
        found = alike(grey, torch.tensor([[40, 64]]), scaled, 16, 16, "bgr")
        # Ten rows of the file are eight here: those from 32 on are not looked at, so neighbours below row 7 are not.
        assert found[0, 6, :, 5].tolist() == [True] * 6 + [False] * 10
        assert found[0, 1, :, 5].tolist() == [False] * 2 + [True] * 8 + [False] * 6

    def test_the_official_order_takes_blue_for_red(self) -> None:
        image = torch.zeros(1, 3, 40, 40)
        # Two reds whose similarity is 0.33; of two blues it would be 0.24.
        image[:, 0], image[:, 0, :, 20:] = 76 / 255, 80 / 255
        size = torch.tensor([[40, 40]])
        as_red, as_blue = (alike(image, size, UNCHANGED, 10, 10, order)[0, 4, 2, 3] for order in ("rgb", "bgr"))
        assert (bool(as_red), bool(as_blue)) == (True, False)

    def test_the_normalisation_of_pictures_changes_nothing(self) -> None:
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(0, 256, (2, 3, 24, 28), generator=generator) / 255
        image = image.reshape(2, 3, 6, 4, 7, 4).mean((3, 5)).repeat_interleave(4, 2).repeat_interleave(4, 3)
        prepared = Prepared(torch.tensor([0.4, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.25]), torch.ones(2))
        normalised = (image - prepared.mean[:, None, None]) / prepared.std[:, None, None]
        sizes = torch.tensor([[24, 28]] * 2)
        plain = Prepared(torch.zeros(3), torch.ones(3), torch.ones(2))
        assert torch.equal(alike(image, sizes, plain, 8, 8, "bgr"), alike(normalised, sizes, prepared, 8, 8, "bgr"))


class TestLossesOfBoxes:
    def test_a_box_covers_the_pixels_whose_middle_it_covers(self) -> None:
        box = filled(torch.tensor([[2.0, 6.0, 9.99, 14.5]]), 5, 4)
        assert box[0].tolist() == [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0] * 4]

    def test_projection_is_the_dice_of_both_shadows(self) -> None:
        logits = torch.tensor([[[10.0, -10.0], [-10.0, -10.0]]]) * 10
        inside = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
        across, down = 1 - 2 / (1 + 2), 0
        assert float(projection(logits, inside)) == pytest.approx(across + down, abs=1e-4)

    def test_pairwise_is_what_brute_force_says(self) -> None:
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(2, 5, 6, generator=generator)
        inside = (torch.rand(2, 5, 6, generator=generator) > 0.3).float()
        there = neighbours(torch.ones(1, 1, 5, 6))[:, 0] > 0
        similar = (torch.rand(2, 8, 5, 6, generator=generator) > 0.4) & there
        steps = [(y, x) for y in (-2, 0, 2) for x in (-2, 0, 2) if (y, x) != (0, 0)]
        p, total, count = logits.sigmoid(), 0.0, 0
        for pair, number, y, x in itertools.product(range(2), range(8), range(5), range(6)):
            if similar[pair, number, y, x] and inside[pair, y, x]:
                own, other = float(p[pair, y, x]), float(p[pair, y + steps[number][0], x + steps[number][1]])
                total -= math.log(own * other + (1 - own) * (1 - other))
                count += 1
        assert float(pairwise(logits, inside, similar)) == pytest.approx(total / count, rel=1e-5)

    def test_the_warm_up_counts_decoder_layers(self) -> None:
        assert warmth(0, 0, 6) == pytest.approx(1 / 10_000)
        assert warmth(100, 5, 6) == pytest.approx(606 / 10_000)
        assert warmth(1666, 4, 6) == 1 > warmth(1666, 2, 6)

    def test_no_pair_at_all_costs_nothing(self) -> None:
        empty = torch.zeros(0, 3, 3)
        assert float(projection(empty, empty)) == float(pairwise(empty, empty, torch.zeros(0, 8, 3, 3).bool())) == 0


CORNERS = torch.tensor([[8.0, 8, 40, 40], [30, 10, 60, 50], [10, 20, 50, 60]])


def detection_batch(**changes: Any) -> Batch:
    boxes = Boxes(CORNERS, torch.tensor([0, 0, 1]), **changes)
    prepared = Prepared(torch.zeros(3), torch.ones(3), torch.ones(2))
    return Batch(pictures(2), torch.zeros(2, 3).long(), torch.arange(2), boxes=boxes, prepared=prepared, step=10**6)


def masks() -> Tensor:
    found = torch.zeros(3, 64, 64, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(found, CORNERS.int().tolist(), strict=True):
        mask[top:bottom, left:right] = True
    return found


def learn(model: UniRef, batch: Batch) -> dict[str, float]:
    losses = model.losses(batch, model(batch))
    torch.stack(list(losses.values())).sum().backward()
    return {name: float(loss.detach()) for name, loss in losses.items()}


class TestDetection:
    def model(self, classes: int = 1) -> UniRef:
        torch.manual_seed(0)
        detector = config().detector.model_copy(update={"classes": classes})
        return awake(UniRef(config(text=None, detector=detector))).train()

    def test_boxes_without_masks_teach_every_parameter(self) -> None:
        model = self.model(classes=5)
        losses = learn(model, detection_batch(label=torch.tensor([4, 0, 2])))
        assert {name for name, loss in losses.items() if loss > 0} == {"class", "l1", "giou", "projection", "pairwise"}
        for name, parameter in model.named_parameters():
            assert (parameter.grad is not None) is parameter.requires_grad, name

    def test_boxes_with_masks_teach_masks(self) -> None:
        losses = learn(self.model(), detection_batch(label=torch.tensor([4, 0, 2]), mask=masks()))
        assert losses["mask"] > 0 < losses["dice"]
        assert losses["projection"] == losses["pairwise"] == 0

    def test_one_object_with_its_mask_costs_what_a_reference_to_it_costs(self) -> None:
        model = self.model()
        batch = detection_batch(mask=masks())
        assert batch.boxes is not None
        boxes = Boxes(CORNERS[1:], torch.tensor([0, 1]), mask=masks()[1:])
        told = learn(model, Batch(batch.image, batch.tokens, batch.picture, boxes=boxes))
        target = masks()[1:, None].float()
        referred = learn(model, Batch(batch.image, batch.tokens, batch.picture, target))
        assert told == pytest.approx(referred, rel=1e-5)

    def test_the_class_decides_the_loss(self) -> None:
        first, second = (
            learn(self.model(classes=5), detection_batch(label=torch.tensor(labels), mask=masks()))
            for labels in ([0, 0, 0], [4, 3, 2])
        )
        assert first["class"] != second["class"]

    def test_a_picture_without_objects_gives_finite_losses(self) -> None:
        nothing = Boxes(torch.zeros(0, 4), torch.zeros(0).long())
        prepared = Prepared(torch.zeros(3), torch.ones(3), torch.ones(1))
        batch = Batch(pictures(1), torch.zeros(1, 3).long(), torch.zeros(1).long(), boxes=nothing, prepared=prepared)
        losses = learn(self.model(), batch)
        assert losses["class"] > 0
        assert all(loss == 0 for name, loss in losses.items() if name != "class")

    def test_of_more_objects_than_queries_the_largest_are_learnt(self) -> None:
        low = torch.zeros(20, 2)
        boxes = Boxes(torch.cat((low, low + torch.arange(1, 21)[:, None]), dim=1), torch.zeros(20).long())
        (found,) = objects_in(boxes, torch.tensor([[64, 64]]), classes=1, most=12)
        assert len(found.labels) == 12
        assert float(found.boxes[:, 2].min()) == pytest.approx(9 / 64)


class TestFinding:
    def test_overlapping_boxes_of_one_class_are_one_object(self) -> None:
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 10, 10], [30, 30, 40, 40]])
        scores = torch.tensor([[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]])
        found = told_apart(boxes, scores)
        assert list(zip(found.label.tolist(), found.corners[:, 0].tolist(), strict=True)) == [
            (0, 0),
            (1, 1),
            (0, 30),
            (1, 30),
        ]
        assert found.score.tolist() == pytest.approx([0.9, 0.7, 0.3, 0.2])

    def test_boxes_are_given_in_pixels_of_each_picture(self) -> None:
        torch.manual_seed(0)
        model = awake(UniRef(config(text=None)))
        sizes = torch.tensor([[64, 64], [40, 56]])
        image = pictures(2)
        image[1, :, 40:], image[1, :, :, 56:] = 0, 0
        with torch.no_grad():
            both, alone = model.detect(image, sizes), model.detect(image[1:, :, :40, :56])
        assert torch.allclose(both[1].corners, alone[0].corners, atol=1e-2)
        assert both[0].corners.max() > 1
        assert (both[0].score.diff() <= 0).all()
