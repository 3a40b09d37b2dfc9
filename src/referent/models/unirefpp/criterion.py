"""From what the detector says in training to the losses: matching, then every layer's losses, summed over layers.

Shape letters: D decoder layers, N references, Q queries, S pixels of all levels, K classes, C channels, P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.models.unirefpp.boxes import box_of_mask
from referent.models.unirefpp.losses import box_losses, mask_losses, tracking_losses
from referent.models.unirefpp.mask_head import STRIDE, MaskHead, finely
from referent.models.unirefpp.matching import Match, Objects, best_proposal, sim_ota


class Answers(NamedTuple):
    """Everything that the losses look at.

    Attributes:
        scores: (D, N, Q, K) logits.
        boxes: (D, N, Q, 4) in [0, 1].
        states: (D, N, Q, C).
        centres: (D, N, Q, 2) in pixels, from which masks count distances.
        features: (N, 8, h, w) at stride 4.
        proposal_scores: (N, S, K) logits.
        proposal_boxes: (N, S, 4) in [0, 1].
    """

    scores: Tensor
    boxes: Tensor
    states: Tensor
    centres: Tensor
    features: Tensor
    proposal_scores: Tensor
    proposal_boxes: Tensor


def objects_of(target: Tensor, sizes: Tensor) -> list[Objects]:
    """One object a reference, or none where its target is empty.

    Args:
        target: (N, 1, H, W) in [0, 1].
        sizes: (N, 2) int64, height and width of each picture inside H x W.
    """
    objects = []
    for mask, size in zip(target, sizes, strict=True):
        there = (mask[0] > 0.5).any()
        boxes = box_of_mask(mask[0] > 0.5, size)[None] if there else mask.new_zeros(0, 4)
        labels = torch.zeros(len(boxes), dtype=torch.int64, device=mask.device)
        objects.append(Objects(labels, boxes, mask[: len(boxes)]))
    return objects


def match(answers: Answers, objects: list[Objects]) -> list[list[Match]]:
    """For each layer, for each reference, its pairs."""
    return [
        [sim_ota(own_scores, own_boxes, own) for own_scores, own_boxes, own in zip(scores, boxes, objects, strict=True)]
        for scores, boxes in zip(answers.scores, answers.boxes, strict=True)
    ]


def layer_losses(
    answers: Answers, objects: list[Objects], head: MaskHead, full_resolution: bool = False
) -> list[dict[str, Tensor]]:
    """The losses of every decoder layer, then those of the proposals.

    Args:
        answers: of the model.
        objects: N of them.
        head: of the masks.
        full_resolution: compare masks pixel by pixel, as the official code does where it follows masks through videos;
            off, at stride 4.
    """
    matches = match(answers, objects)
    masks = _masks(answers, matches, head)
    named = []
    for layer, own in enumerate(matches):
        logits, wanted = masks[layer], _wanted(answers.features, objects, own, full_resolution)
        logits = finely(logits, STRIDE) if full_resolution else logits
        losses = box_losses(answers.scores[layer], answers.boxes[layer], objects, own)
        named.append(losses | mask_losses(logits, wanted) | tracking_losses(logits, wanted))
    best = [
        best_proposal(scores, boxes, own)
        for scores, boxes, own in zip(answers.proposal_scores, answers.proposal_boxes, objects, strict=True)
    ]
    # Of proposals all have class 0, whatever the class of what they find.
    anything = [own._replace(labels=torch.zeros_like(own.labels)) for own in objects]
    return [*named, box_losses(answers.proposal_scores, answers.proposal_boxes, anything, best)]


def total(layers: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Sums over layers by name; every layer counts fully, as in the official code."""
    sums: defaultdict[str, list[Tensor]] = defaultdict(list)
    for layer in layers:
        for name, loss in layer.items():
            sums[name].append(loss)
    return {name: torch.stack(losses).sum() for name, losses in sums.items()}


def _masks(answers: Answers, matches: list[list[Match]], head: MaskHead) -> list[Tensor]:
    """For each layer the (P, h, w) logits of its matched queries; each reference's are computed together."""
    parts: list[list[Tensor]] = [[] for _ in matches]
    for row, features in enumerate(answers.features):
        picked = [own[row].queries for own in matches]
        states = torch.cat([answers.states[layer, row, queries] for layer, queries in enumerate(picked)])
        centres = torch.cat([answers.centres[layer, row, queries] for layer, queries in enumerate(picked)])
        masks = head(states[None], centres[None], features[None])[0]
        for layer, part in enumerate(masks.split([len(queries) for queries in picked])):
            parts[layer].append(part)
    return [torch.cat(part) for part in parts]


def _wanted(features: Tensor, objects: list[Objects], matches: list[Match], full_resolution: bool) -> Tensor:
    """(P, ., .): targets of the pairs; what lies around a picture is background, as in the official code."""
    masks = torch.cat([own.masks[pairs.objects] for own, pairs in zip(objects, matches, strict=True)])
    height, width = features.shape[-2] * STRIDE, features.shape[-1] * STRIDE
    masks = F.pad(masks, (0, width - masks.shape[-1], 0, height - masks.shape[-2]))
    start = STRIDE // 2
    return masks if full_resolution else masks[:, start::STRIDE, start::STRIDE]
