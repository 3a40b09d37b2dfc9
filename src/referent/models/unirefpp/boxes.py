"""Boxes: between their two forms, from masks, and how much two of them overlap. Torch only, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor


def corners(boxes: Tensor) -> Tensor:
    """(..., 4) (centre x, centre y, width, height) -> (left, top, right, bottom)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def overlaps(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection over union, and the generalised one (Rezatofighi et al., CVPR 2019), of (..., 4) corners each.

    The leading dimensions are broadcast: (P, 1, 4) and (G, 4) give (P, G).
    """
    inner = _area(torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:]))
    hull = _area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    union = _area(first[..., :2], first[..., 2:]) + _area(second[..., :2], second[..., 2:]) - inner
    iou = inner / union
    return iou, iou - (hull - union) / hull


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(-1)


def box_of_mask(mask: Tensor, size: Tensor) -> Tensor:
    """(H, W) bool with at least one True, (2,) height and width of the picture -> (4,) in [0, 1], centre and sides."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    low = torch.stack((columns.min(), rows.min())).float()
    high = torch.stack((columns.max(), rows.max())).float() + 1
    return torch.cat(((low + high) / 2, high - low)) / size.flip(0).repeat(2)
