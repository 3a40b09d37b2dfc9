"""Multi-scale deformable attention (Zhu et al., "Deformable DETR", ICLR 2021, equation 3), with no compiled extension.

Shape letters: B pictures, Q queries, S pixels of all levels together (fine or coarse first, as `shapes` says), M heads,
L levels, P points a level, C channels, D = C / M channels a head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shapes = Sequence[tuple[int, int]]
"""(height, width) of each level."""

# Points whose indices and weights are made at once, which bounds memory at no loss of speed (benchmarks/deformable.py).
_POINTS_AT_ONCE = 1 << 17
# Channels of a head from which a gather and its gradient, a scatter of rows, cost less than `grid_sample` and its
# (benchmarks/deformable.py with --channels).
_GATHERED_FROM = 32


class DeformableAttention(nn.Module):
    """Every query reads a few points near its reference, on every level, with bilinear sampling.

    Args:
        width: C.
        heads: M; divides C.
        levels: L.
        points: P.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self._start()

    def _start(self) -> None:
        """Head h begins by looking in direction 2 pi h / M, its p-th point p pixels away (the paper's appendix A.4)."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ring = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ring = ring / ring.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[:, None]
        start = (ring[:, None, None] * steps).expand(-1, self.levels, -1, -1)
        with torch.no_grad():
            self.offsets.bias.copy_(start.reshape(-1))
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for projection in (self.value, self.out):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, query: Tensor, reference: Tensor, memory: Tensor, shapes: Shapes, keep: Tensor | None = None
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, Q, C).
            reference: (Q, 2) or (B, Q, L, 2): (x, y) in [0, 1] of each level, pixel centres at (index + 0.5) / side;
                or (B, Q, L, 4) with width and height, in which offsets are then counted: the P-th point of a fresh
                layer lies on the edge of the box.
            memory: (B, S, C), the levels one after the other, each in row-major order.
            shapes: of the L levels.
            keep: (B, S) bool, False at padding, where zero is read.

        Returns:
            (B, Q, C).
        """
        batch, queries, _ = query.shape
        if reference.dim() == 2:
            reference = reference[None, :, None].expand(batch, -1, self.levels, -1)
        sides = torch.tensor([(width, height) for height, width in shapes], device=query.device, dtype=reference.dtype)
        centres = reference[..., :2] * sides - 0.5
        offsets = self.offsets(query).reshape(batch, queries, self.heads, -1)
        if reference.shape[-1] == 4:
            offsets = offsets * self._of_points(reference[..., 2:] * sides * (0.5 / self.points))
        places = (self._of_points(centres) + offsets).reshape(batch, queries, self.heads, self.levels, self.points, 2)
        weights = self.weights(query).reshape(batch, queries, self.heads, -1).softmax(-1)
        weights = weights.reshape(batch, queries, self.heads, self.levels, self.points)
        value = self.value(memory)
        if keep is not None:
            value = value.masked_fill(~keep[..., None], 0)
        value = value.reshape(batch, -1, self.heads, memory.shape[-1] // self.heads)
        sampled = sampled_sum(value, shapes, places, weights)
        result: Tensor = self.out(sampled)
        return result

    def _of_points(self, of_levels: Tensor) -> Tensor:
        """(B, Q, L, 2) -> (B, Q, 1, L * P * 2). (Broadcasting along dimensions of 2 and 4 numbers is slow.)"""
        return of_levels[..., None, :].expand(-1, -1, -1, self.points, -1).flatten(2)[:, :, None]


def sampled_sum(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """Bilinear samples, weighted and summed; zero is read beyond the edges.

    Args:
        value: (B, S, M, D).
        shapes: of the L levels, S pixels together.
        places: (B, Q, M, L, P, 2), (x, y) in pixels of each level; 0 is the centre of the first pixel.
        weights: (B, Q, M, L, P).

    Returns:
        (B, Q, M * D).
    """
    narrow = torch.is_grad_enabled() and value.shape[-1] < _GATHERED_FROM
    by = by_gathering if value.device.type == "cpu" and not narrow else by_grid_sample
    return by(value, shapes, places, weights)


def by_gathering(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """`sampled_sum` as one gather: four rows a point, weighted and summed by `embedding_bag`.

    Each level gets a frame of zeros, so that a point beyond the edges reads zeros without being treated apart.
    """
    batch, queries, heads, levels, points, _ = places.shape
    framed, starts = [], []
    rows = 0
    for level, (height, width) in zip(torch.split(value, [h * w for h, w in shapes], dim=1), shapes, strict=True):
        framed.append(F.pad(level.reshape(batch, height, width, -1), (0, 0, 1, 1, 1, 1)).flatten(1, 2))
        starts.append(rows)
        rows += (height + 2) * (width + 2)
    # A table a picture: the gradient of a part of one table would be as large as the whole.
    tables = torch.cat(framed, dim=1).reshape(batch, rows * heads, -1).unbind()

    # A number for each point that a query looks at, (M * L * P,): broadcasting along short dimensions is slow.
    def of_levels(values: Sequence[int], dtype: torch.dtype = places.dtype) -> Tensor:
        return torch.tensor(values, device=places.device, dtype=dtype).repeat_interleave(points).repeat(heads)

    last_x, last_y = of_levels([w - 1 for _, w in shapes]), of_levels([h - 1 for h, _ in shapes])
    nowhere, stride = torch.full_like(last_x, -1), of_levels([w + 2 for _, w in shapes])
    # Of the first pixel, which has the frame's above and before it.
    head = torch.arange(heads, device=places.device, dtype=torch.int32).repeat_interleave(levels * points)
    first = of_levels([start + w + 3 for start, (_, w) in zip(starts, shapes, strict=True)], torch.int32)
    origin = first * heads + head
    below = of_levels([w + 2 for _, w in shapes], torch.int32)[: levels * points]
    steps = torch.stack((torch.zeros_like(below), torch.ones_like(below), below, below + 1)) * heads

    def read(places: Tensor, weights: Tensor, table: Tensor) -> Tensor:
        """Some queries of one picture: (q, M, L, P, 2), (q, M, L, P) -> (q, M, D)."""
        x, y = places.flatten(1, 3).unbind(-1)
        weights = weights.flatten(1)
        x, y = torch.clamp(x, nowhere, last_x + 1), torch.clamp(y, nowhere, last_y + 1)
        left, top = torch.minimum(x.detach().floor(), last_x), torch.minimum(y.detach().floor(), last_y)
        right, down = x - left, (y - top) * weights
        pixel = (top * stride + left).int() * heads + origin
        index = pixel.reshape(-1, 1, levels * points) + steps
        up = weights - down
        lower, upper = down * right, up * right
        four = torch.stack(
            [part.reshape(-1, levels * points) for part in (up - upper, upper, down - lower, lower)], dim=1
        )
        four = four.flatten(1).to(table.dtype)
        summed = F.embedding_bag(index.flatten(1), table, per_sample_weights=four, mode="sum")
        return summed.reshape(-1, heads, table.shape[-1])

    step = max(1, _POINTS_AT_ONCE // (heads * levels * points))
    parts = [
        read(some, weight, table)
        for own, own_weights, table in zip(places, weights, tables, strict=True)
        for some, weight in zip(own.split(step), own_weights.split(step), strict=True)
    ]
    return torch.cat(parts).reshape(batch, queries, -1)


def by_grid_sample(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """`sampled_sum` by one `grid_sample` a level.

    Positions stay in float32 or better: the 8 significant bits of bfloat16 are up to an eighth of a pixel off
    on a map of 128.
    """
    batch, queries, heads, _, _, _ = places.shape
    wide = torch.promote_types(torch.promote_types(value.dtype, places.dtype), torch.float32)
    places = places.to(wide)
    total: Tensor | None = None
    for number, level in enumerate(torch.split(value, [h * w for h, w in shapes], dim=1)):
        height, width = shapes[number]
        maps = level.permute(0, 2, 3, 1).reshape(batch * heads, -1, height, width)
        sides = torch.tensor((width, height), device=places.device, dtype=places.dtype)
        grid = ((2 * places[:, :, :, number] + 1) / sides - 1).transpose(1, 2).flatten(0, 1)
        sampled = F.grid_sample(maps.to(wide), grid, "bilinear", "zeros", align_corners=False)
        weight = weights[:, :, :, number].transpose(1, 2).reshape(batch * heads, 1, queries, -1)
        part = (sampled * weight).sum(-1)
        total = part if total is None else total + part
    assert total is not None
    return total.reshape(batch, -1, queries).transpose(1, 2).to(value.dtype)
