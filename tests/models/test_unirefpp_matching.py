"""UniRef++'s matching, boxes and losses on cases worked out by hand."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from referent.models.unirefpp.boxes import box_of_mask, corners, overlaps
from referent.models.unirefpp.losses import focal, mask_losses, tracking_losses
from referent.models.unirefpp.mask_head import finely
from referent.models.unirefpp.matching import Objects, best_proposal, sim_ota


def objects(*boxes: tuple[float, ...]) -> Objects:
    return Objects(torch.zeros(len(boxes), dtype=torch.int64), torch.tensor(boxes), torch.zeros(len(boxes), 4, 4))


def test_an_object_gets_as_many_queries_as_overlap_with_it_together() -> None:
    target = (0.5, 0.5, 0.4, 0.4)
    far = (0.9, 0.1, 0.1, 0.1)
    boxes = torch.tensor([far, target, target, target, far])
    assert sim_ota(torch.zeros(5, 1), boxes, objects(target)).queries.tolist() == [1, 2, 3]


def test_an_object_that_nothing_overlaps_gets_the_cheapest_query() -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.3, 0.3, 0.1, 0.1]])
    match = sim_ota(torch.zeros(2, 1), boxes, objects((0.8, 0.8, 0.1, 0.1)))
    assert (match.queries.tolist(), match.objects.tolist()) == ([1], [0])


def test_no_query_serves_two_objects_and_no_object_goes_without() -> None:
    first, second = (0.5, 0.5, 0.4, 0.4), (0.5, 0.5, 0.42, 0.42)
    boxes = torch.tensor([first, (0.1, 0.1, 0.05, 0.05)])
    match = sim_ota(torch.zeros(2, 1), boxes, objects(first, second))
    assert sorted(match.queries.tolist()) == [0, 1]
    assert sorted(match.objects.tolist()) == [0, 1]


def plainly_matched(scores: Tensor, boxes: Tensor, labels: list[int], targets: Tensor) -> set[tuple[int, int]]:
    """SimOTA's rules, one pair at a time."""
    queries, count = len(boxes), len(labels)
    cost, iou = torch.zeros(queries, count), torch.zeros(queries, count)
    near = [False] * queries
    for q, g in itertools.product(range(queries), range(count)):
        found, generalised = overlaps(corners(boxes[q]), corners(targets[g]))
        (x, y), (low_x, low_y, high_x, high_y) = boxes[q, :2].tolist(), corners(targets[g]).tolist()
        in_box = low_x < x < high_x and low_y < y < high_y
        in_centre = max(abs(x - float(targets[g, 0])), abs(y - float(targets[g, 1]))) < 2.5 / 32
        near[q] |= in_box or in_centre
        p = float(scores[q, labels[g]].sigmoid())
        gain = 0.25 * (1 - p) ** 2 * -math.log(p + 1e-8) - 0.75 * p**2 * -math.log(1 - p + 1e-8)
        cost[q, g] = gain - 3 * generalised + (0 if in_box and in_centre else 100)
        iou[q, g] = found
    for q in range(queries):
        cost[q] += 0 if near[q] else 10_000
    pairs = set()
    for g in range(count):
        wanted = max(1, int(iou[:, g].sort(descending=True).values[:10].sum()))
        pairs |= {(q, g) for q in cost[:, g].argsort(stable=True)[:wanted].tolist()}
    for q in range(queries):
        several = [g for g in range(count) if (q, g) in pairs]
        if len(several) > 1:
            pairs -= {(q, g) for g in several}
            pairs.add((q, int(cost[q].argmin())))
    for g in range(count):
        if not any(pair[1] == g for pair in pairs):
            free = [q for q in range(queries) if not any(pair[0] == q for pair in pairs)]
            pairs.add((min(free, key=lambda q: float(cost[q, g])), g))
    return pairs


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_several_objects_with_classes_are_matched_as_the_rules_say(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(count, 4, generator=generator) * 0.3 + 0.2
    # Half of the boxes lie near some object.
    boxes = torch.rand(16, 4, generator=generator) * 0.3 + 0.2
    boxes[::2] = targets[torch.randint(0, count, (8,), generator=generator)] + boxes[::2] * 0.1
    scores = torch.randn(16, 3, generator=generator)
    labels = torch.randint(0, 3, (count,), generator=generator)
    match = sim_ota(scores, boxes, Objects(labels, targets, None))
    found = set(zip(match.queries.tolist(), match.objects.tolist(), strict=True))
    assert found == plainly_matched(scores, boxes, labels.tolist(), targets)


def test_where_there_is_no_object_nothing_is_matched() -> None:
    nothing = Objects(torch.zeros(0).long(), torch.zeros(0, 4), torch.zeros(0, 4, 4))
    boxes = torch.full((3, 4), 0.5)
    assert len(sim_ota(torch.zeros(3, 1), boxes, nothing).queries) == 0
    assert len(best_proposal(torch.zeros(3, 1), boxes, nothing).queries) == 0


def test_overlaps_of_boxes_that_touch_and_that_lie_apart() -> None:
    iou, generalised = overlaps(
        torch.tensor([0.0, 0, 2, 2]), torch.tensor([[1.0, 1, 3, 3], [3, 0, 4, 2], [0, 0, 2, 2]])
    )
    assert iou.tolist() == pytest.approx([1 / 7, 0, 1])
    assert generalised.tolist() == pytest.approx([1 / 7 - 2 / 9, -2 / 8, 1])


@given(st.integers(0, 9), st.integers(1, 10), st.integers(0, 9), st.integers(1, 10))
def test_the_box_of_a_mask_is_its_tight_rectangle(top: int, height: int, left: int, width: int) -> None:
    mask = torch.zeros(20, 30, dtype=torch.bool)
    mask[top : top + height, left : left + width] = True
    size = torch.tensor([20, 30])
    box: Tensor = corners(box_of_mask(mask, size)) * torch.tensor([30, 20, 30, 20])
    assert box.tolist() == pytest.approx([left, top, left + width, top + height], abs=1e-4)


def test_losses_of_known_probabilities() -> None:
    logits = torch.tensor([[[0.0, 0.0], [0.0, 0.0]]])
    target = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    named = mask_losses(logits, target)
    assert float(named["mask_bce"]) == pytest.approx(math.log(2))
    assert float(named["mask"]) == pytest.approx(math.log(2) / 4 * (0.25 + 3 * 0.75) / 4)
    assert float(named["dice"]) == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))
    assert float(focal(logits, target)[0, 0, 0]) == pytest.approx(0.25 * 0.25 * math.log(2))
    tracked = tracking_losses(logits, target)
    assert float(tracked["hard_pixels"]) == pytest.approx(math.log(2))
    assert float(tracked["soft_iou"]) == pytest.approx(1 - 0.5 / 2.5)


def test_masks_are_enlarged_with_their_pixels_centres_in_place() -> None:
    ramp = torch.arange(4.0)[None, None].expand(1, 3, -1)
    fine = finely(ramp, 4)
    assert fine.shape == (1, 12, 16)
    # Coarse pixel i lies at fine pixel 4 i + 2, and the last one is repeated.
    assert fine[0, 0, 2::4].tolist() == pytest.approx([0, 1, 2, 3])
    assert fine[0, 0, 3].item() == pytest.approx(0.25)
    assert fine[0, 0, 15].item() == pytest.approx(3)
