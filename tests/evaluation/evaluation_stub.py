"""A segmenter without a network: it answers from what a test tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn

from referent.data.sample import Dataset, Sample
from referent.errors import PictureError
from referent.reference import Reference
from referent.rle import encode
from referent.segmentation import Segmentation, box_of

Reply = tuple[np.ndarray, float, bool]


@dataclass
class Stub:
    """Looks like a `Segmenter`; `reply(picture, phrase)` gives (probability, score, found)."""

    reply: Callable[[Path, str], Reply]
    threshold: float = 0.5
    geometry: str = "letterbox 416"
    name: str = "stub"
    unreadable: frozenset[str] = frozenset()
    looked: Counter[str] = field(default_factory=Counter)
    asked: list[str] = field(default_factory=list)
    model: nn.Module = field(default_factory=lambda: nn.Linear(2, 1))

    @property
    def engine(self) -> SimpleNamespace:
        return SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)

    @property
    def preparation(self) -> SimpleNamespace:
        return SimpleNamespace(threshold=self.threshold)

    def look_at(self, picture: Path) -> SimpleNamespace:
        self.looked[picture.name] += 1
        if picture.name in self.unreadable:
            raise PictureError(f"{picture}: cannot be read")
        return SimpleNamespace(segment=lambda references: self._segment(picture, references))

    def _segment(self, picture: Path, references: Sequence[Reference]) -> list[Segmentation]:
        answers = []
        for reference in references:
            probability, score, found = self.reply(picture, str(reference))
            self.asked.append(str(reference))
            mask = probability > self.threshold
            image = Image.new("RGB", mask.shape[::-1])
            box = box_of(mask) if found else None
            answers.append(
                Segmentation(mask, probability.astype(np.float32), box, score, found, reference, "stub", image)
            )
        return answers


def data_of(samples: list[Sample], name: str = "toy") -> Dataset:
    return Dataset(name, samples)


def sample(id_: str, picture: str, phrase: str, truth: np.ndarray | None, size=(4, 6), **tags: str) -> Sample:
    """A sample whose truth is (H, W) bool, or None for a phrase that is true of nothing."""
    targets = () if truth is None else (encode(truth),)
    return Sample(id_, Path(picture), size, Reference.of(phrase), targets, "val", tags)


def columns(*chosen: int, size=(4, 6)) -> np.ndarray:
    """A mask of whole columns."""
    mask = np.zeros(size, dtype=bool)
    mask[:, list(chosen)] = True
    return mask
