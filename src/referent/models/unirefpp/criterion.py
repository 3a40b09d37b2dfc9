"""From what the detector says in training to the losses: matching, then every layer's losses, summed over layers.

Shape letters: D decoder layers, N references, Q queries, S pixels of all levels, K classes, C channels, P pairs.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.models.base import Batch, Boxes
from referent.models.unirefpp.boxes import box_of_mask, corners
from referent.models.unirefpp.boxinst import MOST_INSTANCES, alike, filled, pairwise, projection, warmth
from referent.models.unirefpp.config import UniRefConfig
from referent.models.unirefpp.losses import box_losses, mask_losses, tracking_losses
from referent.models.unirefpp.mask_head import STRIDE, MaskHead, finely
from referent.models.unirefpp.matching import Match, Objects, best_proposal, sim_ota

NAMES = (
    *("class", "l1", "giou"),
    *("mask", "mask_bce", "dice", "hard_pixels", "soft_iou"),
    *("projection", "pairwise"),
)
"""Of all losses: those of boxes, of masks, and of masks where boxes alone are known."""


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


def losses_of(batch: Batch, answers: Answers, sizes: Tensor, head: MaskHead, config: UniRefConfig) -> dict[str, Tensor]:
    """The losses that fit what a batch is to be learnt from, summed over layers; the others are 0.

    Args:
        batch: with `boxes` for detection, whose masks are None where boxes alone are known; with `target` otherwise.
        answers: of the model.
        sizes: (N, 2) int64, height and width of each reference's picture.
        head: of the masks.
        config: of the model.
    """
    many = config.detector.proposals == "many"
    if batch.boxes is None:
        assert batch.target is not None
        layers = layer_losses(answers, objects_of(batch.target, sizes), head, batch.full_resolution, many)
    else:
        objects = objects_in(batch.boxes, sizes, config.detector.classes, answers.scores.shape[2])
        if batch.boxes.mask is not None:
            layers = layer_losses(answers, objects, head, batch.full_resolution, many)
        else:
            assert batch.prepared is not None
            height, width = answers.features.shape[-2:]
            whole = torch.tensor([batch.image.shape[-2:]], device=sizes.device).expand(len(batch.image), -1)
            own = whole if batch.sizes is None else batch.sizes
            similar = alike(batch.image, own, batch.prepared, height, width, config.colours)[batch.picture]
            layers = layer_losses_of_boxes(answers, objects, head, sizes, similar, batch.step, many)
    return dict.fromkeys(NAMES, answers.features.new_zeros(())) | total(layers)


def dense_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of all pixels, and Dice of the references that are true of something; a mean over references.

    Args:
        logits: (N, h, w) at stride 8.
        target: (N, 1, H, W) in [0, 1].
    """
    logits = F.interpolate(logits[:, None], scale_factor=2, mode="bilinear", align_corners=False)[:, 0]
    wanted = _on_grid(target[:, 0], logits.shape[-2], logits.shape[-1], full_resolution=False)
    losses = mask_losses(logits, wanted)
    there = wanted.flatten(1).amax(1) > 0
    return losses["mask_bce"] + mask_losses(logits[there], wanted[there])["dice"] * there.float().mean()


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


def objects_in(boxes: Boxes, sizes: Tensor, classes: int, most: int) -> list[Objects]:
    """The single objects of each reference.

    Args:
        boxes: with labels where there are several classes.
        sizes: (N, 2) as in `objects_of`.
        classes: K; with 1 all objects are of class 0.
        most: only so many of a reference are learnt, the largest: each needs a query.
    """
    objects = []
    for row, size in enumerate(sizes):
        own = (boxes.reference == row).nonzero()[:, 0]
        low, high = boxes.corners[own, :2], boxes.corners[own, 2:]
        kept = (high - low).prod(1).argsort(descending=True, stable=True)[:most]
        own, low, high = own[kept], low[kept], high[kept]
        share = torch.cat(((low + high) / 2, high - low), dim=1) / size.flip(0).repeat(2)
        labels = torch.zeros_like(own) if classes == 1 or boxes.label is None else boxes.label[own]
        objects.append(Objects(labels, share, None if boxes.mask is None else boxes.mask[own]))
    return objects


def match(answers: Answers, objects: list[Objects]) -> list[list[Match]]:
    """For each layer, for each reference, its pairs."""
    return [
        [sim_ota(own_scores, own_boxes, own) for own_scores, own_boxes, own in zip(scores, boxes, objects, strict=True)]
        for scores, boxes in zip(answers.scores, answers.boxes, strict=True)
    ]


def layer_losses(
    answers: Answers, objects: list[Objects], head: MaskHead, full_resolution: bool = False, many: bool = False
) -> list[dict[str, Tensor]]:
    """The losses of every decoder layer, then those of the proposals.

    Args:
        answers: of the model.
        objects: N of them, with masks.
        head: of the masks.
        full_resolution: compare masks pixel by pixel, as the official code does where it follows masks through videos;
            off, at stride 4.
        many: see `DetectorConfig.proposals`.
    """
    matches = match(answers, objects)
    masks = _masks(answers, matches, head)
    wanted = _wanted(answers.features, objects, full_resolution)
    named = []
    for layer, own in enumerate(matches):
        logits, target = masks[layer], _of_pairs(wanted, own)
        logits = finely(logits, STRIDE) if full_resolution else logits
        losses = box_losses(answers.scores[layer], answers.boxes[layer], objects, own)
        named.append(losses | mask_losses(logits, target) | tracking_losses(logits, target))
    return [*named, _proposal_losses(answers, objects, many)]


def layer_losses_of_boxes(
    answers: Answers,
    objects: list[Objects],
    head: MaskHead,
    sizes: Tensor,
    similar: Tensor,
    step: int,
    many: bool = False,
) -> list[dict[str, Tensor]]:
    """`layer_losses` of objects whose boxes alone are known, with BoxInst's losses in place of those of masks.

    Args:
        answers, objects, head: as there; without masks.
        sizes: (N, 2), height and width of each picture.
        similar: (N, 8, h, w) bool, of `boxinst.alike`.
        step: steps done before this one.
        many: see `DetectorConfig.proposals`.
    """
    matches = match(answers, objects)
    drawn = [_drawn(own) for own in matches]
    masks = _masks(answers, drawn, head)
    height, width = answers.features.shape[-2:]
    ends = [corners(own.boxes) * size.flip(0).repeat(2) for own, size in zip(objects, sizes, strict=True)]
    inside = [filled(own, height, width) for own in ends]
    named = []
    for layer, (own, few) in enumerate(zip(matches, drawn, strict=True)):
        rows = torch.cat([torch.full_like(pairs.queries, row) for row, pairs in enumerate(few)])
        target = _of_pairs(inside, few)
        losses = box_losses(answers.scores[layer], answers.boxes[layer], objects, own)
        losses["projection"] = projection(masks[layer], target)
        share = warmth(step, layer, len(matches))
        losses["pairwise"] = share * pairwise(masks[layer], target, similar[rows])
        named.append(losses)
    return [*named, _proposal_losses(answers, objects, many)]


def _proposal_losses(answers: Answers, objects: list[Objects], many: bool) -> dict[str, Tensor]:
    """Those of boxes. Of proposals all have class 0, whatever the class of what they find."""
    anything = [own._replace(labels=torch.zeros_like(own.labels)) for own in objects]
    choose = sim_ota if many else best_proposal
    chosen = [
        choose(scores, boxes, own)
        for scores, boxes, own in zip(answers.proposal_scores, answers.proposal_boxes, anything, strict=True)
    ]
    return box_losses(answers.proposal_scores, answers.proposal_boxes, anything, chosen)


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


def _wanted(features: Tensor, objects: list[Objects], full_resolution: bool) -> list[Tensor]:
    """(G, ., .) for each reference; what lies around a picture is background, as in the official code."""
    height, width = features.shape[-2:]
    found = []
    for own in objects:
        assert own.masks is not None
        found.append(_on_grid(own.masks, height, width, full_resolution).to(features.dtype))
    return found


def _on_grid(masks: Tensor, height: int, width: int, full_resolution: bool) -> Tensor:
    """(G, H, W) on the grid of (height, width) at stride 4, or pixel by pixel: zeros around, every fourth pixel."""
    start, step = (0, 1) if full_resolution else (STRIDE // 2, STRIDE)
    masks = F.pad(masks, (0, width * STRIDE - masks.shape[-1], 0, height * STRIDE - masks.shape[-2]))
    return masks[:, start::step, start::step]


def _of_pairs(wanted: list[Tensor], matches: list[Match]) -> Tensor:
    """(G, h, w) for each reference -> (P, h, w)."""
    return torch.cat([own[pairs.objects] for own, pairs in zip(wanted, matches, strict=True)])


def _drawn(matches: list[Match]) -> list[Match]:
    """At most `MOST_INSTANCES` pairs of a layer, at random."""
    counts = [len(pairs.queries) for pairs in matches]
    kept = torch.zeros(sum(counts), dtype=torch.bool)
    kept[torch.randperm(len(kept))[:MOST_INSTANCES]] = True
    return [
        Match(pairs.queries[own.to(pairs.queries.device)], pairs.objects[own.to(pairs.objects.device)])
        for pairs, own in zip(matches, torch.split(kept, counts), strict=True)
    ]
