"""Where to look: the encoder's pixels propose boxes, and the best of them become queries (two-stage Deformable DETR).

Shape letters: N references, S pixels of all levels, C channels, Q queries.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from referent.models.unirefpp.config import DetectorConfig
from referent.models.unirefpp.extent import Extent
from referent.models.unirefpp.heads import box_head

# Deformable DETR's: the side of a proposal on the finest level, and how near to the edge its numbers may come.
_SIDE, _MARGIN = 0.05, 0.01
_BASE = 10000.0
RARE = -math.log(99)
"""Start of class biases: one place in a hundred holds something (RetinaNet)."""


class Proposals(NamedTuple):
    """The best pixels, best first.

    Attributes:
        pixels: (N, Q) int64, which pixels; all levels counted through.
        boxes: (N, Q, 4), (centre x, centre y, width, height) in logits, without gradient.
        content: (N, Q, C).
        places: (N, Q, C) encodings of the boxes.
        memory: (N, S, C) that proposes; zero where nothing may be proposed.
        scores: (N, S, classes) logits of all pixels.
        grid: (N, S, 4) logits of what a pixel proposes before it corrects it; infinite where it may not.
    """

    pixels: Tensor
    boxes: Tensor
    content: Tensor
    places: Tensor
    memory: Tensor
    scores: Tensor
    grid: Tensor


class Proposer(nn.Module):
    """Scores all pixels and makes queries of the best: learned contents, places from the boxes ("mixed selection")."""

    def __init__(self, width: int, config: DetectorConfig) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.score = nn.Linear(width, config.classes)
        self.correct = box_head(width)
        # The second half is never read; the official weights have it.
        self.place, self.place_norm = nn.Linear(2 * width, 2 * width), nn.LayerNorm(2 * width)
        self.content = nn.Parameter(torch.randn(config.queries, width))
        nn.init.constant_(self.score.bias, RARE)
        for layer in (self.project, self.place):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, memory: Tensor, extent: Extent) -> Proposals:
        """Propose.

        Args:
            memory: (N, S, C) of the encoder.
            extent: of the pictures.

        Returns:
            As many as there are queries, or pixels where these are fewer.
        """
        grid = grid_of(extent)
        allowed = ((grid > _MARGIN) & (grid < 1 - _MARGIN)).all(-1, keepdim=True) & extent.keep[..., None]
        grid = torch.log(grid / (1 - grid)).masked_fill(~allowed, torch.inf)
        memory = self.norm(self.project(memory.masked_fill(~allowed, 0)))
        scores = self.score(memory)
        # Channel 0 also where there are more classes: in the pre-training all proposals have class 0.
        best = scores[..., 0].topk(min(len(self.content), memory.shape[1]), dim=1).indices
        boxes = (self.correct(rows(memory, best)) + rows(grid, best)).detach()
        width = memory.shape[-1]
        places = self.place_norm(self.place(sines_of(boxes.sigmoid(), width // 2).to(memory.dtype)))[..., :width]
        content = self.content[: best.shape[1]].expand(len(memory), -1, -1)
        return Proposals(best, boxes, content, places, memory, scores, grid)

    def boxes_of_all(self, proposals: Proposals) -> Tensor:
        """(N, S, 4) in [0, 1]: what every pixel proposes, which only training reads."""
        corrected: Tensor = self.correct(proposals.memory) + proposals.grid
        return corrected.sigmoid()


def rows(table: Tensor, index: Tensor) -> Tensor:
    """(N, S, C), (N, Q) -> (N, Q, C)."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))


def grid_of(extent: Extent) -> Tensor:
    """(N, S, 4): a box around each pixel's centre as shares of the picture, larger on coarser levels."""
    boxes = []
    for number, (height, width) in enumerate(extent.shapes):
        side = extent.sides[:, number]
        x = (torch.arange(width, device=side.device) + 0.5) / side[:, :1]
        y = (torch.arange(height, device=side.device) + 0.5) / side[:, 1:]
        centres = torch.stack((x[:, None].expand(-1, height, -1), y[..., None].expand(-1, -1, width)), dim=-1)
        boxes.append(torch.cat((centres, torch.full_like(centres, _SIDE * 2**number)), dim=-1).flatten(1, 2))
    return torch.cat(boxes, dim=1)


def sines_of(boxes: Tensor, width: int) -> Tensor:
    """(N, Q, 4) in [0, 1] -> (N, Q, 4 * width): `width` sines and cosines of each of the four numbers."""
    exponent = torch.arange(0, width, 2, device=boxes.device, dtype=torch.float32) / width
    angle = (boxes * (2 * math.pi))[..., None] / torch.pow(_BASE, exponent)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(2)
