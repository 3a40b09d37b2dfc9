"""The losses of the official code, one decoder layer at a time (the paper's section 3.4 prints fewer).

Shape letters: N references, Q queries or pixels, K classes, P matched pairs of all references, h x w a mask.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.layers.losses import dice_of_each
from referent.models.unirefpp.boxes import corners, overlaps
from referent.models.unirefpp.matching import Match, Objects

_ALPHA, _GAMMA = 0.25, 2.0
_HARDEST = 0.4
_AGGREGATION_EPS = 1e-7


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """The sigmoid focal loss of each number (Lin et al., ICCV 2017), of the shape of `logits`."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability = logits.sigmoid()
    wrong = probability + target - 2 * probability * target
    return (_ALPHA * target + (1 - _ALPHA) * (1 - target)) * cross_entropy * wrong**_GAMMA


def box_losses(scores: Tensor, boxes: Tensor, objects: list[Objects], matches: list[Match]) -> dict[str, Tensor]:
    """`class`, `l1` and `giou` of one layer, each over the number of matched queries.

    Args:
        scores: (N, Q, K) logits.
        boxes: (N, Q, 4) in [0, 1].
        objects: N of them.
        matches: N of them.
    """
    pairs = max(1, sum(len(match.queries) for match in matches))
    target = torch.zeros_like(scores)
    for row, (own, match) in enumerate(zip(objects, matches, strict=True)):
        target[row, match.queries, own.labels[match.objects]] = 1
    found = torch.cat([boxes[row, match.queries] for row, match in enumerate(matches)])
    wanted = torch.cat([own.boxes[match.objects] for own, match in zip(objects, matches, strict=True)])
    return {
        "class": focal(scores, target).sum() / pairs,
        "l1": (found - wanted).abs().sum() / pairs,
        "giou": (1 - overlaps(corners(found), corners(wanted))[1]).sum() / pairs,
    }


def mask_losses(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`mask` (focal, as in the official code), `mask_bce` (as in the paper) and `dice`, means over pairs.

    Args:
        logits: (P, h, w).
        target: (P, h, w) in [0, 1].
    """
    pairs = max(1, len(logits))
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return {
        "mask": focal(logits, target).mean((1, 2)).sum() / pairs,
        "mask_bce": cross_entropy.mean((1, 2)).sum() / pairs,
        "dice": dice_of_each(logits, target).sum() / pairs,
    }


def tracking_losses(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """`hard_pixels` and `soft_iou`, means over pairs, which the official code adds in its training on videos.

    Both see each probability p sharpened as p^2 / (p^2 + (1 - p)^2), what STCN's soft aggregation makes of one object.

    Args:
        logits: (P, h, w).
        target: (P, h, w) in [0, 1].
    """
    pairs = max(1, len(logits))
    p = logits.sigmoid().flatten(1)
    wanted = target.flatten(1)
    sharpened = 2 * (_bounded(p).log() - _bounded(1 - p).log())
    wrong = F.binary_cross_entropy_with_logits(sharpened, wanted, reduction="none")
    hardest = wrong.topk(int(_HARDEST * wrong.shape[1]), dim=1).values.mean(1)
    own = sharpened.sigmoid()
    overlap = torch.minimum(own, wanted).sum(1) / torch.maximum(own, wanted).sum(1)
    return {"hard_pixels": hardest.sum() / pairs, "soft_iou": (1 - overlap).sum() / pairs}


def _bounded(p: Tensor) -> Tensor:
    return p.clamp(_AGGREGATION_EPS, 1 - _AGGREGATION_EPS)
