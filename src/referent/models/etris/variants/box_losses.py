"""FCOS's losses (Tian et al., ICCV 2019, with its later sampling of centres): which places answer for which box, and
how well they do."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.models.base import Boxes, Candidates

# A place answers for a box whose middle is at most so many of its level's places away.
_RADIUS = 1.5
# A level answers for boxes whose farthest side is so many of its places away; the finest for all below, the coarsest
# for all above.
_NEAREST, _FARTHEST = 4.0, 8.0
# Of the focal loss (Lin et al., ICCV 2017).
_ALPHA, _GAMMA = 0.25, 2.0
_EPSILON = 1e-6


def box_losses(candidates: Candidates, boxes: Boxes | None) -> dict[str, Tensor]:
    """`box_score` (focal), `box` (1 - generalised IoU, near the centres more) and `box_centre`.

    Args:
        candidates: of N references.
        boxes: that these references are true of.

    Raises:
        ValueError: there are no boxes to learn from.
    """
    if boxes is None:
        raise ValueError("losses of boxes need batch.boxes")
    reference, place, thing = assigned(candidates.places, boxes)
    wanted = torch.zeros_like(candidates.score)
    wanted[reference, place] = 1
    count = max(len(place), 1)
    named = {"box_score": focal(candidates.score, wanted).sum() / count}
    corners, truth = candidates.corners[reference, place], boxes.corners[thing]
    nearness = centredness(candidates.places[place, :2], truth)
    named["box"] = ((1 - generalised_iou(corners, truth)) * nearness).sum() / nearness.sum().clamp(min=_EPSILON)
    told = F.binary_cross_entropy_with_logits(candidates.centre[reference, place], nearness, reduction="sum")
    named["box_centre"] = told / count
    return named


def assigned(places: Tensor, boxes: Boxes) -> tuple[Tensor, Tensor, Tensor]:
    """Which places answer for which box; of several boxes, for the smallest.

    Args:
        places: (P, 3) of `Candidates`.
        boxes: T of them.

    Returns:
        Rows of the reference, of the place and of the box, each (A,).
    """
    points, stride = places[:, :2], places[:, 2]
    sides = torch.cat((points[None] - boxes.corners[:, None, :2], boxes.corners[:, None, 2:] - points[None]), dim=2)
    middle = (boxes.corners[:, None, :2] + boxes.corners[:, None, 2:]) / 2
    near = ((points[None] - middle).abs() <= _RADIUS * stride[:, None]).all(2)
    farthest = sides.amax(2)
    lowest = torch.where(stride == stride.min(), torch.zeros_like(stride), _NEAREST * stride)
    highest = torch.where(stride == stride.max(), torch.full_like(stride, torch.inf), _FARTHEST * stride)
    answers = (sides.amin(2) > 0) & near & (farthest > lowest) & (farthest <= highest)
    width, height = (boxes.corners[:, 2:] - boxes.corners[:, :2]).unbind(1)
    owner: dict[tuple[int, int], int] = {}
    for thing in (width * height).argsort(descending=True).tolist():
        row = int(boxes.reference[thing])
        owner.update({(row, place): thing for place in answers[thing].nonzero()[:, 0].tolist()})
    table = torch.tensor([(*key, thing) for key, thing in owner.items()], dtype=torch.int64, device=places.device)
    reference, place, things = table.reshape(-1, 3).unbind(1)
    return reference, place, things


def focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss of every element, unreduced; `wanted` is 0 or 1."""
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    missed = torch.where(wanted > 0, 1 - logits.sigmoid(), logits.sigmoid())
    return torch.where(wanted > 0, _ALPHA, 1 - _ALPHA) * missed**_GAMMA * entropy


def generalised_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Of pairs of boxes (A, 4), in [-1, 1] (Rezatofighi et al., CVPR 2019)."""
    inner = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    outer = torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])
    both, around = inner.prod(1), outer.prod(1)
    either = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (others[:, 2:] - others[:, :2]).prod(1) - both
    return both / (either + _EPSILON) - (around - either) / (around + _EPSILON)


def centredness(points: Tensor, corners: Tensor) -> Tensor:
    """(A,) in (0, 1]: 1 where a point (A, 2) is the middle of its box (A, 4), less towards the edges."""
    before, after = points - corners[:, :2], corners[:, 2:] - points
    return (torch.minimum(before, after) / torch.maximum(before, after)).prod(1).sqrt()
