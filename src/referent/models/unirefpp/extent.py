"""Where in a padded batch the pictures are: they begin at the top left, and padding follows below and to the right.

Shape letters: B pictures, H x W the padded size, L levels with maps of h x w each, S their pixels together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.layers.deformable import Shapes


class Extent(NamedTuple):
    """The part of each level's map that is picture.

    Attributes:
        shapes: (h, w) of each level.
        masks: (B, h, w) bool for each level, True inside the picture.
        sides: (B, L, 2) float, (width, height) of that part in pixels of the map.
        ratios: (B, L, 2), (width, height) as shares of the map.
    """

    shapes: Shapes
    masks: list[Tensor]
    sides: Tensor
    ratios: Tensor

    @property
    def keep(self) -> Tensor:
        """(B, S) bool, all levels one after the other."""
        return torch.cat([mask.flatten(1) for mask in self.masks], dim=1)


def extent_of(sizes: Tensor, height: int, width: int, shapes: Shapes) -> Extent:
    """Extents as the official code makes them, by nearest neighbours.

    Args:
        sizes: (B, 2) int64, height and width of each picture.
        height, width: H and W.
        shapes: of the levels; the last one's mask is made from the first one's, all others from the picture's.
    """
    whole = [torch.arange(side, device=sizes.device) < sizes[:, axis, None] for axis, side in ((0, height), (1, width))]
    masks, sides = [], []
    finest: list[Tensor] = []
    for number, shape in enumerate(shapes):
        source = finest if finest and number == len(shapes) - 1 else whole
        rows, columns = (_nearest(inside, side) for inside, side in zip(source, shape, strict=True))
        finest = finest or [rows, columns]
        masks.append(rows[:, :, None] & columns[:, None])
        sides.append(torch.stack((columns.sum(1), rows.sum(1)), dim=-1))
    measured = torch.stack(sides, dim=1).float()
    maps = torch.tensor([(w, h) for h, w in shapes], device=sizes.device, dtype=torch.float32)
    return Extent(shapes, masks, measured, measured / maps)


def _nearest(inside: Tensor, side: int) -> Tensor:
    """(B, length) -> (B, side), each taken from the place that torch's nearest interpolation takes it from."""
    return F.interpolate(inside[:, None].float(), side)[:, 0] > 0
