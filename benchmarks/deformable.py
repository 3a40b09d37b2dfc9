"""Time of the sampling inside deformable attention, in variants, at the size of MagNet's pixel decoder at 480 pixels.

    python benchmarks/deformable.py [--size 480] [--channels 32] [--repeats 5] [--compile]
        [--out benchmarks/results/deformable.json]

One thread; seconds of the processor, not of the clock, the best of `repeats`. Every variant is held to the first one.
8 heads of 32 channels read 4 points on 4 levels from every pixel. Two more variants need a C++ compiler, which a user's
machine need not have: with `--compile` they are measured beside the others, without their compilation.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.evaluation.environment import machine, versions
from referent.files import atomic_write
from referent.layers import deformable

HEADS, POINTS, STRIDES = 8, 4, (32, 16, 8, 4)
SPREAD = 3.0  # standard deviation of offsets, in pixels
Shapes = list[tuple[int, int]]
Sampled = Callable[[Tensor, Shapes, Tensor, Tensor], Tensor]


def inputs(size: int, channels: int) -> tuple[Tensor, Shapes, Tensor, Tensor]:
    """Value, shapes, places and weights as `deformable.sampled_sum` takes them."""
    torch.manual_seed(0)
    shapes = [(-(-size // stride), -(-size // stride)) for stride in STRIDES]
    centres = []
    for height, width in shapes:
        y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
        centres.append(torch.stack((x, y), dim=-1).flatten(0, 1))
    reference = torch.cat(centres)
    sides = torch.tensor([(width, height) for height, width in shapes])
    offsets = SPREAD * torch.randn(1, len(reference), HEADS, len(shapes), POINTS, 2)
    places = (reference[None, :, None, None] * sides - 0.5)[:, :, :, :, None] + offsets
    weights = torch.rand(1, len(reference), HEADS, len(shapes) * POINTS).softmax(-1).reshape(offsets.shape[:-1])
    return torch.randn(1, len(reference), HEADS, channels), shapes, places, weights


def grid(places: Tensor, level: int, shapes: Shapes) -> Tensor:
    """Places on a level as `grid_sample` wants them: (heads, queries, points, 2)."""
    height, width = shapes[level]
    return ((2 * places[0, :, :, level] + 1) / torch.tensor((width, height)) - 1).transpose(0, 1)


def levels_of(value: Tensor, shapes: Shapes) -> list[Tensor]:
    """(heads, channels, height, width) of each level."""
    parts = torch.split(value, [height * width for height, width in shapes], dim=1)
    return [part[0].permute(1, 2, 0).unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True)]


def stacked(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """As in the published code: all samples of all levels side by side, then one weighted sum."""
    sampled = [
        F.grid_sample(part, grid(places, level, shapes), align_corners=False)
        for level, part in enumerate(levels_of(value, shapes))
    ]
    weight = weights[0].transpose(0, 1).flatten(2)[:, None]
    summed = (torch.stack(sampled, dim=-2).flatten(-2) * weight).sum(-1)
    return summed.flatten(0, 1).T[None]


def channels_last(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """`grid_sample` on maps whose channels lie side by side in memory."""
    total = torch.zeros(())
    for level, part in enumerate(levels_of(value, shapes)):
        maps = part.contiguous(memory_format=torch.channels_last)
        sampled = F.grid_sample(maps, grid(places, level, shapes), align_corners=False)
        total = total + (sampled * weights[0, :, :, level].transpose(0, 1)[:, None]).sum(-1)
    return total.flatten(0, 1).T[None]


def four_gathers(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """One `index_select` a corner of the pixel square, a level at a time, then a weighted sum."""
    total = torch.zeros(())
    heads = torch.arange(HEADS)[:, None]
    for level, ((height, width), part) in enumerate(
        zip(shapes, torch.split(value, [h * w for h, w in shapes], dim=1), strict=True)
    ):
        table = part.reshape(-1, part.shape[-1])
        place = places[0, :, :, level]
        corner = place.floor()
        for x in (0, 1):
            for y in (0, 1):
                column, row = (corner[..., 0] + x).long(), (corner[..., 1] + y).long()
                inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
                near = (1 - (place[..., 0] - column).abs()) * (1 - (place[..., 1] - row).abs())
                index = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1)) * HEADS + heads
                taken = table.index_select(0, index.flatten()).reshape(*index.shape, -1)
                total = total + ((near * inside * weights[0, :, :, level])[..., None] * taken).sum(2)
    return total.flatten(1)[None]


def bags_by_level(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """Ours, called once a level."""
    parts = torch.split(value, [height * width for height, width in shapes], dim=1)
    return torch.stack(
        [
            deformable.by_gathering(part, [shapes[level]], places[:, :, :, level, None], weights[:, :, :, level, None])
            for level, part in enumerate(parts)
        ]
    ).sum(0)


def in_pieces(points: int) -> Sampled:
    """Ours with another number of points at once."""

    def sampled(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
        kept, deformable._POINTS_AT_ONCE = deformable._POINTS_AT_ONCE, points
        try:
            return deformable.by_gathering(value, shapes, places, weights)
        finally:
            deformable._POINTS_AT_ONCE = kept

    return sampled


VARIANTS: dict[str, Sampled] = {
    "grid_sample, all samples kept (published)": stacked,
    "grid_sample, summed level by level": deformable.by_grid_sample,
    "grid_sample, channels last": channels_last,
    "index_select, a corner at a time": four_gathers,
    "embedding_bag, level by level": bags_by_level,
    "embedding_bag, all levels, 4096 points at once": in_pieces(1 << 12),
    "embedding_bag, all levels, all points at once": in_pieces(1 << 30),
    "embedding_bag, all levels (used on a CPU)": deformable.by_gathering,
}


COMPILED: dict[str, Sampled] = {
    "index_select, a corner at a time, compiled": four_gathers,
    "grid_sample, summed level by level, compiled": deformable.by_grid_sample,
}


def variants(compiled: bool) -> dict[str, Sampled]:
    """`VARIANTS`, and `COMPILED` where asked for."""
    more = {name: torch.compile(sampled) for name, sampled in COMPILED.items()} if compiled else {}
    return VARIANTS | more


def best(call: Callable[[], Any], repeats: int) -> float:
    """Fewest milliseconds of the processor."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(1000 * (time.process_time() - start))
    return round(min(found), 1)


def with_gradients(sampled: Sampled, value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> None:
    """Forwards and backwards, as in training."""
    leaves = [tensor.detach().requires_grad_() for tensor in (value, places, weights)]
    sampled(leaves[0], shapes, *leaves[1:]).sum().backward()


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=480)
    parser.add_argument("--channels", type=int, default=32, help="of a head")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    given = inputs(arguments.size, arguments.channels)
    expected = stacked(*given)
    rows = []
    for name, sampled in variants(arguments.compile).items():
        with torch.inference_mode():
            difference = float((sampled(*given) - expected).abs().max())
            answering = best(lambda sampled=sampled: sampled(*given), arguments.repeats)
        training = best(lambda sampled=sampled: with_gradients(sampled, *given), max(1, arguments.repeats // 2))
        rows.append(
            {
                "variant": name,
                "answering_ms": answering,
                "training_ms": training,
                "share": round(answering / (rows[0]["answering_ms"] if rows else answering), 3),
                "difference": difference,
            }
        )
        print(f"{name:50} {answering:8.1f} ms {training:8.1f} ms  off by {difference:.1e}")
    result = {
        "size": arguments.size,
        "channels": arguments.channels,
        "queries": given[0].shape[1],
        "points": given[3].numel(),
        "variants": rows,
        "machine": machine(torch.device("cpu"), given[0].dtype),
        "versions": versions(),
        "command": f"python benchmarks/deformable.py {' '.join(sys.argv[1:])}".strip(),
    }
    if arguments.out is not None:
        atomic_write(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
