"""A tiny set of videos with exact masks, and models whose answers to it are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from referent.data.videos.label_pictures import write_labels
from referent.reference import Reference
from referent.segmentation import Segmentation, box_of

SIZE = (40, 60)
WIDTH = 12


def square(left: int, top: int = 10, side: int = WIDTH) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def write_video(root: Path, name: str, lefts: list[int], second: dict[int, int] | None = None) -> None:
    """DAVIS's layout: object 1 is a square with its left side at `lefts`, object 2 one further down."""
    (root / "JPEGImages" / "480p" / name).mkdir(parents=True)
    (root / "Annotations" / "480p" / name).mkdir(parents=True)
    for index, left in enumerate(lefts):
        labels = square(left).astype(np.uint8)
        if second and index in second:
            labels[square(second[index], top=26)] = 2
        frame = np.full((*SIZE, 3), 60, dtype=np.uint8)
        frame[labels == 1] = (250, 20, 20)
        frame[labels == 2] = (20, 20, 250)
        Image.fromarray(frame).save(
            root / "JPEGImages" / "480p" / name / f"{index:05d}.jpg", quality=100, subsampling=0
        )
        write_labels(root / "Annotations" / "480p" / name / f"{index:05d}.png", labels)


@dataclass
class Standing:
    """A tracker that answers every frame with the masks it was shown, wherever things have gone since."""

    references: Mapping[int, Reference | None]
    breaks_at: int | None = None
    shown: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    frames: int = 0

    def step(self, frame: Path, masks: Mapping[int, NDArray[np.bool_]]) -> dict[int, Segmentation]:
        if self.frames == self.breaks_at:
            raise RuntimeError("out of luck")
        self.shown |= masks
        self.frames += 1
        return {number: answered(mask) for number, mask in self.shown.items()}


def answered(mask: NDArray[np.bool_]) -> Segmentation:
    return Segmentation(
        mask=mask,
        probability=mask.astype(np.float32),
        box=box_of(mask),
        score=1.0,
        found=bool(mask.any()),
        reference=Reference.of("it"),
        model="standing",
        picture=Image.new("RGB", SIZE[::-1]),
    )


class StandingModel:
    """Makes such trackers, and remembers by which procedure and about what."""

    name = "standing"
    reference_kinds = frozenset({"phrase", "example"})
    model = torch.nn.Identity()
    engine = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)

    def __init__(self, breaks: dict[int, int] | None = None) -> None:
        self.asked: list[tuple[dict[int, Any], str | None]] = []
        self._breaks = breaks or {}

    def track(self, objects: dict[int, Any], *, procedure: str | None, smoothing: float) -> Standing:
        self.asked.append((objects, procedure))
        return Standing(objects, self._breaks.get(len(self.asked)))
