"""Masks learnt from boxes alone (Tian et al., "BoxInst", CVPR 2021), as the official code pre-trains.

Shape letters: B pictures, P matched pairs of all references, h x w the map at stride 4; 8 neighbours of a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.models.base import Prepared
from referent.models.unirefpp.colour import lab_of
from referent.models.unirefpp.config import Channels
from referent.models.unirefpp.mask_head import STRIDE

MOST_INSTANCES = 64
"""Pairs a layer whose masks are learnt; more are drawn from at random."""
_DILATION = 2
_ALIKE = 0.3
_BOTTOM = 10
_WARMUP = 10_000
_EPS = 1e-5
_CENTRE = 4


def neighbours(maps: Tensor) -> Tensor:
    """(P, C, h, w) -> (P, C, 8, h, w): the pixels around each, two away in each direction; 0 outside the map."""
    count, channels, height, width = maps.shape
    around = F.unfold(maps, 3, dilation=_DILATION, padding=_DILATION).reshape(count, channels, 9, height, width)
    return torch.cat((around[:, :, :_CENTRE], around[:, :, _CENTRE + 1 :]), dim=2)


@torch.no_grad()
def alike(image: Tensor, sizes: Tensor, prepared: Prepared, height: int, width: int, channels: Channels) -> Tensor:
    """Which neighbours have about a pixel's colour, and so about surely belong to the same thing.

    Args:
        image, sizes, prepared: as in `Batch`.
        height, width: h and w, of at least the picture's size at stride 4.
        channels: see there.

    Returns:
        (B, 8, h, w) bool. False for neighbours outside a picture, or in the ten lowest rows that its file has, where
        black bars occur.
    """
    pixels = F.pad(image, (0, width * STRIDE - image.shape[-1], 0, height * STRIDE - image.shape[-2]))
    pixels = pixels * prepared.std[:, None, None] + prepared.mean[:, None, None]
    rows, columns = (torch.arange(side, device=image.device) for side in pixels.shape[-2:])
    across = columns < sizes[:, 1, None]
    inside = (rows < sizes[:, 0, None])[:, :, None] & across[:, None]
    # Averaged together with the black around the picture, then cut to whole grey levels, as in the official code; the
    # rounding before it undoes what normalising has cost.
    grey = (F.avg_pool2d(pixels * inside[:, None], STRIDE) * 255).round(decimals=3).floor().clamp(0, 255) / 255
    lab = lab_of(grey.flip(1) if channels == "bgr" else grey)
    distance = (lab[:, :, None] - neighbours(lab)).norm(dim=1)
    lowest = sizes[:, 0] - (_BOTTOM * prepared.scale).long()
    trusted = (rows < lowest[:, None])[:, :, None] & across[:, None]
    start = STRIDE // 2
    there = neighbours(trusted[:, None, start::STRIDE, start::STRIDE].float())[:, 0]
    return (torch.exp(-distance / 2) * there) >= _ALIKE


def filled(boxes: Tensor, height: int, width: int) -> Tensor:
    """(P, 4) left, top, right, bottom in pixels of the picture -> (P, h, w), 1 inside.

    A pixel of the map stands for the picture's pixel two below and right of its corner, as in all targets.
    """
    left, top, right, bottom = boxes.long()[:, :, None].unbind(1)
    x = torch.arange(width, device=boxes.device) * STRIDE + STRIDE // 2
    y = torch.arange(height, device=boxes.device) * STRIDE + STRIDE // 2
    # The pixel in which a side ends belongs to the box.
    across, down = (x >= left) & (x <= right), (y >= top) & (y <= bottom)
    return (down[:, :, None] & across[:, None]).float()


def projection(logits: Tensor, inside: Tensor) -> Tensor:
    """The mask must fill its box's width and height and reach no further; a mean over pairs, 0 where there are none.

    Args:
        logits: (P, h, w).
        inside: (P, h, w), the filled boxes.
    """
    masks = logits.sigmoid()
    losses = _dice(masks.amax(1), inside.amax(1)) + _dice(masks.amax(2), inside.amax(2))
    return losses.sum() / max(1, len(losses))


def pairwise(logits: Tensor, inside: Tensor, similar: Tensor) -> Tensor:
    """Neighbours of one colour must both belong to the mask or both not; a mean over such neighbours inside the boxes.

    Args:
        logits: (P, h, w).
        inside: (P, h, w), the filled boxes.
        similar: (P, 8, h, w) bool, of `alike`.
    """
    true, false = F.logsigmoid(logits)[:, None], F.logsigmoid(-logits)[:, None]
    both = true + neighbours(true)[:, 0]
    neither = false + neighbours(false)[:, 0]
    counted = similar * inside[:, None]
    return -(torch.logaddexp(both, neither) * counted).sum() / counted.sum().clamp(min=1)


def warmth(step: int, layer: int, layers: int) -> float:
    """How much of `pairwise` counts, in [0, 1].

    The official code counts up once a decoder layer, not once a step, in a buffer of its checkpoints. Here the count
    follows from the step, so that a training that goes on from a checkpoint needs no buffer.

    Args:
        step: steps done before this one.
        layer: of the decoder, from 0.
        layers: of the decoder.
    """
    return min((step * layers + layer + 1) / _WARMUP, 1.0)


def _dice(found: Tensor, wanted: Tensor) -> Tensor:
    """(P, n) in [0, 1] each -> (P,)."""
    both = (found * wanted).sum(1)
    return 1 - 2 * both / ((found**2).sum(1) + (wanted**2).sum(1) + _EPS)
