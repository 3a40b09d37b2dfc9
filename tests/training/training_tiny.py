"""A model, data and a recipe small enough that a whole training takes a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from referent import zoo
from referent.models.base import Batch, Output, SegmentationModel
from referent.rle import encode
from referent.segmenter import Segmenter
from referent.training.loop import Outcome

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
SIDE = 32
Run = Callable[..., Outcome]
TINY_CRIS: dict[str, Any] = {
    "image": {"kind": "clip-resnet", "blocks": [1, 1, 1, 1], "width": 8, "embed": 16, "grid": 2},
    "text": {"vocabulary": 49408, "width": 8, "layers": 1, "heads": 2, "context": 12, "embed": 16},
    "neck": {"channels": [8, 16, 16]},
    "decoder": {"layers": 1, "heads": 2, "feedforward": 16},
    "projector": {"hidden": 8, "width": 8},
    "presence": True,
}


class TinyConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = 8
    dropout: float = 0.0
    batch_norm: bool = False
    sentence_norm: bool = False

    @classmethod
    def wide(cls) -> TinyConfig:
        return cls(width=12)


class Tiny(SegmentationModel):
    """Two convolutions, an embedding, and their inner product."""

    def __init__(self, config: TinyConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = nn.Conv2d(3, config.width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(config.width) if config.batch_norm else nn.Identity()
        self.sentence_norm = nn.BatchNorm1d(config.width) if config.sentence_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.words = nn.Embedding(512, config.width)
        self.unused = nn.Parameter(torch.ones(3))

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.head(F.relu(self.norm(self.backbone(image)))),)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        known = batch.tokens != 0
        words = self.words(batch.tokens % 512) * known[..., None]
        state = self.dropout(self.sentence_norm(words.sum(1) / known.sum(1, keepdim=True)))
        return Output(torch.einsum("nchw,nc->nhw", sight[0][batch.picture], state)[:, None])

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        assert batch.target is not None
        target = F.interpolate(batch.target, output.logits.shape[-2:])
        return {"text_to_pixel": F.binary_cross_entropy_with_logits(output.logits, target)}


def register() -> None:
    """Makes family "tiny" known, as a further row of the zoo would, in this process."""
    zoo.FAMILIES = {"tiny": zoo.Family(TinyConfig, Tiny, zoo)}


def evaluate(segmenter: Segmenter, dataset: Any) -> dict[str, float]:
    """Mean IoU, smoothed so that even a model that has learnt nothing gets a number of its own."""
    found = []
    for sample, answer in segmenter.predict(dataset.samples):
        target = sample.mask()
        found.append(float((answer.probability * target).sum() / (answer.probability + target).sum()))
    return {"mIoU": sum(found) / len(found)}


def make_data(folder: Path, pictures: int = 12) -> Path:
    """Pictures with one square of each colour, as JSON lines with an RLE a phrase."""
    generator = np.random.default_rng(0)
    lines: list[dict[str, Any]] = []
    for number in range(pictures):
        width, height = int(generator.integers(30, 60)), int(generator.integers(30, 60))
        pixels = np.full((height, width, 3), 128, np.uint8)
        for slot, (colour, value) in enumerate(COLOURS.items()):
            mask = np.zeros((height, width), bool)
            top = int(generator.integers(0, height - 12))
            mask[top : top + 10, slot * 10 : slot * 10 + 9] = True
            pixels[mask] = value
            for phrase in (f"the {colour} square", f"{colour} thing"):
                lines.append(
                    {
                        "id": f"{number}-{phrase}",
                        "image": f"{number}.png",
                        "phrase": phrase,
                        "rle": encode(mask),
                        "split": "val" if number % 4 == 3 else "train",
                    }
                )
        Image.fromarray(pixels).save(folder / f"{number}.png")
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def recipe(data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A recipe as a mapping; `changes` with `__` for dots."""
    content: dict[str, Any] = {
        "model": {"family": "tiny", "name": "tiny"},
        "preparation": {"size": SIDE, "context_length": 8},
        "data": {
            "train": [{"path": str(data), "split": "train"}],
            "val": [{"path": str(data), "split": "val"}],
            "group": "picture",
            "phrases": 2,
        },
        "loss": {"text_to_pixel": 1.0},
        "optimiser": {"lr": 0.01},
        "schedule": {"kind": "cosine", "warmup": 2},
        "batch": 4,
        "steps": 6,
        "workers": 0,
        "validate_every": 3,
        "save_every": 1,
        "log_every": 1,
        "output": str(output),
    }
    for key, value in changes.items():
        *parents, last = key.split("__")
        here = content
        for name in parents:
            here = here.setdefault(name, {})
        here[last] = value
    return content
