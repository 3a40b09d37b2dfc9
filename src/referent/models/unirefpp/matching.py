"""Which queries are to become which objects, decided without gradient.

Shape letters: Q queries or pixels of one reference, K classes, G objects, P pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from referent.layers.assignment import assign
from referent.models.unirefpp.boxes import corners, overlaps

# Of SimOTA in the official code (the paper prints others).
_GIOU_WEIGHT = 3.0
_OFF_CENTRE, _OUTSIDE = 100.0, 10_000.0
_CENTRE_RADIUS = 2.5 / 32
_CANDIDATES = 10
# Of the matching of proposals.
_PROPOSAL_CLASS, _PROPOSAL_L1, _PROPOSAL_GIOU = 2.0, 5.0, 2.0
_ALPHA, _EPS = 0.25, 1e-8


class Objects(NamedTuple):
    """What is to be found for one reference.

    Attributes:
        labels: (G,) int64.
        boxes: (G, 4), (centre x, centre y, width, height) as shares of the picture.
        masks: (G, H, W) bool or in [0, 1], H x W as of the batch's pictures; None where boxes are all there is.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor | None


class Match(NamedTuple):
    """Pairs, sorted by query.

    Attributes:
        queries: (P,) int64.
        objects: (P,) int64.
    """

    queries: Tensor
    objects: Tensor


@torch.no_grad()
def sim_ota(scores: Tensor, boxes: Tensor, objects: Objects) -> Match:
    """Each object gets as many queries as its best ones overlap with it together (Ge et al., "OTA", CVPR 2021).

    Args:
        scores: (Q, K) logits.
        boxes: (Q, 4) as those of `objects`.
        objects: G of them, or none; at least as many queries.
    """
    count = len(objects.labels)
    if not count:
        return Match(objects.labels, objects.labels)
    iou, generalised = overlaps(corners(boxes)[:, None], corners(objects.boxes))
    in_box = _inside(boxes, corners(objects.boxes))
    middle = objects.boxes[:, :2]
    at_centre = _inside(boxes, torch.cat((middle - _CENTRE_RADIUS, middle + _CENTRE_RADIUS), dim=1))
    cost = _class_cost(scores, objects.labels) - _GIOU_WEIGHT * generalised
    cost = cost + _OFF_CENTRE * ~(in_box & at_centre)
    cost = cost + _OUTSIDE * ~(in_box | at_centre).any(1, keepdim=True)
    wanted = iou.topk(min(_CANDIDATES, len(iou)), dim=0).values.sum(0).int().clamp(min=1)
    taken = torch.zeros_like(cost, dtype=torch.bool)
    for number in range(count):
        taken[cost[:, number].topk(int(wanted[number]), largest=False).indices, number] = True
    several = taken.sum(1) > 1
    taken[several] = torch.nn.functional.one_hot(cost[several].argmin(1), count).bool()
    for number in (~taken.any(0)).nonzero()[:, 0].tolist():
        free = cost[:, number].masked_fill(taken.any(1), torch.inf)
        taken[free.argmin(), number] = True
    queries, found = taken.nonzero(as_tuple=True)
    return Match(queries, found)


@torch.no_grad()
def best_proposal(scores: Tensor, boxes: Tensor, objects: Objects) -> Match:
    """A pixel for each object, so that all together propose best. All objects of proposals have class 0.

    Args:
        scores: (Q, K) logits.
        boxes: (Q, 4).
        objects: G of them, or none; at least as many pixels.
    """
    count = len(objects.labels)
    cost = _PROPOSAL_CLASS * _class_cost(scores, torch.zeros_like(objects.labels))
    cost = cost + _PROPOSAL_L1 * torch.cdist(boxes, objects.boxes, p=1)
    cost = cost - _PROPOSAL_GIOU * overlaps(corners(boxes)[:, None], corners(objects.boxes))[1]
    if count < 2:
        return Match(cost.argmin(0), objects.labels.new_zeros(count))
    # In the cheapest assignment no object has a pixel that is not among its own `count` cheapest.
    near = torch.unique(cost.topk(count, dim=0, largest=False).indices)
    queries, order = near[torch.from_numpy(assign(cost[near].T.double().cpu().numpy())).to(near.device)].sort()
    return Match(queries, order)


def _class_cost(scores: Tensor, labels: Tensor) -> Tensor:
    """(Q, K) logits, (G,) -> (Q, G): what the focal loss would gain."""
    p = scores.sigmoid()[:, labels]
    return _ALPHA * (1 - p) ** 2 * -(p + _EPS).log() - (1 - _ALPHA) * p**2 * -(1 - p + _EPS).log()


def _inside(boxes: Tensor, limits: Tensor) -> Tensor:
    """(Q, 4) with centres, (G, 4) corners -> (Q, G) bool."""
    centres = boxes[:, None, :2]
    return ((centres > limits[:, :2]) & (centres < limits[:, 2:])).all(-1)
