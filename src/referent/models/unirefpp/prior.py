"""A prior mask: where a picture looks like an example's target to the image encoder alone.

UniFusion compares projections that are learnt from the classes of the training alone, which may be few. The image
encoder's own maps come from a larger one: what looks alike in them is given to all levels beside the fusion (Tian et
al., "Prior Guided Feature Enrichment Network for Few-Shot Segmentation", TPAMI 2020, section 3.2). Ours beyond that
paper: two maps instead of one, the same for the rest of the example's picture, and no stretching to [0, 1], as a
picture need not show the target.

Shape letters: N references, M examples, E channels of a signature, C the common width, h x w its map, K keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.models.unirefpp.fusion import ReferenceBundle

_HIDDEN = 32
_STRETCH = 10.0
"""Cosines of pixels that look alike and of those that do not differ by a tenth or so."""


class PriorMask(nn.Module):
    """Greatest similarities to the target and to what is around it, added to each level; before training nothing is.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = nn.Sequential(nn.Conv2d(2, _HIDDEN, 1), nn.ReLU(), nn.Conv2d(_HIDDEN, width, 1))
        for parameter in self.widen[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, signature: Tensor, examples: ReferenceBundle, levels: Sequence[Tensor]) -> list[Tensor]:
        """Add what looks like the examples to the levels.

        Args:
            signature: (N, E, h, w) of the picture that is asked about, from `signature_of`.
            examples: from `marked`, of N references; a row that has none stays as it is.
            levels: (N, C, ., .) each.

        Returns:
            The levels, changed.
        """
        with torch.autocast(signature.device.type, enabled=False):
            seen = similarities(signature.float(), examples)
        given = examples.keep.any(1)[:, None, None, None]
        return [
            level + self.widen(F.interpolate(seen, level.shape[-2:], mode="bilinear", align_corners=False)) * given
            for level in levels
        ]


def signature_of(maps: Sequence[Tensor]) -> Tensor:
    """What pixels are compared by: the two coarsest maps of the image encoder, (N, E, h, w) at the finer one's size.

    Each pixel of either map has the length 1 / sqrt(2), so that products of signatures are mean cosines.
    """
    fine, coarse = maps[-2].float(), maps[-1].float()
    coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
    return torch.cat([F.normalize(part, dim=1) * 0.5**0.5 for part in (fine, coarse)], dim=1)


def marked(signature: Tensor, mask: Tensor, inside: Tensor) -> ReferenceBundle:
    """Examples as the prior mask reads them: keys are their signatures.

    Args:
        signature: (M, E, h, w).
        mask: (M, 1, H, W) float, 1 on the target.
        inside: (M, h, w) bool, False at padding.

    Returns:
        Values (M, h * w, 2): 1 for a pixel of the target, and for one that has nothing of it. Where the target covers
        half of no pixel, those that have most of it count. Nothing is pooled: (M, 0).
    """
    share = F.interpolate(mask.float(), signature.shape[-2:], mode="area").flatten(1)
    enough = (share.amax(1, keepdim=True) * 0.7).clamp(max=0.5)
    values = torch.stack(((share >= enough) & (share > 0), share < 0.05), dim=-1).float()
    return ReferenceBundle(
        signature.flatten(2).transpose(1, 2), values, inside.flatten(1), signature.new_zeros(len(signature), 0)
    )


def similarities(signature: Tensor, examples: ReferenceBundle) -> Tensor:
    """(N, E, h, w), examples of N references -> (N, 2, h, w): how like the target, and how much more than the rest."""
    cosines = signature.flatten(2).transpose(1, 2) @ examples.keys.transpose(1, 2)
    target, rest = (
        cosines.masked_fill(~(examples.keep & (examples.values[..., kind] > 0))[:, None], -1.0).amax(-1)
        for kind in (0, 1)
    )
    seen = torch.stack((target, target - rest), dim=1) * _STRETCH
    return seen.reshape(len(seen), 2, *signature.shape[-2:])
