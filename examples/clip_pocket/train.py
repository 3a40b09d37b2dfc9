"""Train the pocket CLIP: pictures of things and their names to where CLIP's text encoder puts the names.

    python examples/clip_pocket/train.py CROPS.jsonl VECTORS.safetensors OUT.safetensors
        [--text TOWER.safetensors] [--image MOBILENET.safetensors] [--steps 4000] [--batch 64] [--size 128]

CROPS is what crops.py wrote, VECTORS what examples/cris_pocket/text_vectors.py wrote, TOWER what
examples/cris_pocket/pretrain_text.py wrote, MOBILENET a public MobileNetV2 with its batch norms folded. Every step both
towers are compared with the vectors by the same loss. Things are isolated as ReCLIP isolates proposals.
measure.py says how good the result is.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from referent.encoders.clip_config import CLIPTextConfig
from referent.encoders.clip_pocket import CLIPPocket, CLIPPocketConfig
from referent.encoders.mobilenet import from_folded
from referent.encoders.tokenizers import ClipTokenizer
from referent.grounding.isolation import Isolation
from referent.grounding.scoring import PROMPT
from referent.training.text_vectors import TextVectors

PEAK_LR, WARMUP = 1e-3, 0.05
MARGIN = 0.2  # of a box's sides, by which it is enlarged at most: detectors are not exact
SMALL_SIGMA = 20  # of the blur: photographs here are small, and a large sigma costs as much again


class Crops:
    """Lines of crops.py whose name has a vector."""

    def __init__(self, path: Path, split: str, objective: TextVectors) -> None:
        rows = dict(zip(objective.texts, objective.vector_of.tolist(), strict=True))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.lines = [line for line in lines if line["split"] == split and line["name"] in rows]
        self.rows = [rows[line["name"]] for line in self.lines]

    @property
    def names(self) -> set[str]:
        """Of its things."""
        return {line["name"] for line in self.lines}

    def batch(self, numbers: Sequence[int], model: CLIPPocket, draw: random.Random | None) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, size, size) and rows (B,) of vectors; varied by chance where there is one."""
        pictures = [_isolated(self.lines[number], model.size, draw) for number in numbers]
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
        return (pixels - mean) / std, torch.tensor([self.rows[number] for number in numbers])

    def batches(self, size: int, seed: int) -> Iterator[list[int]]:
        """Numbers of lines without end: every name equally often, as most annotated things are persons."""
        by_row: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows):
            by_row.setdefault(row, []).append(number)
        draw, groups = random.Random(seed), list(by_row.values())
        while True:
            yield [draw.choice(draw.choice(groups)) for _ in range(size)]


def _isolated(line: dict[str, Any], size: int, draw: random.Random | None) -> np.ndarray:
    """One thing as (size, size, 3) uint8."""
    with Image.open(line["image"]) as file:
        picture = ImageOps.exif_transpose(file).convert("RGB")
    x, y, width, height = line["box"] or (0, 0, picture.width, picture.height)
    kind = "crop"
    if draw is not None:
        grown = [draw.uniform(0, MARGIN / 2) * side for side in (width, height, width, height)]
        x, y = x - grown[0], y - grown[1]
        width, height = width + grown[0] + grown[2], height + grown[1] + grown[3]
        kind = draw.choice(("crop", "blur")) if line["box"] else "crop"
    isolated = Isolation(picture, np.array([[x, y, width, height]], dtype=float), SMALL_SIGMA)(0, kind)
    if draw is not None and draw.random() < 0.5:
        isolated = ImageOps.mirror(isolated)
    return np.asarray(isolated.resize((size, size), Image.Resampling.BICUBIC))


def new_model(size: int, text: Path | None, image: Path | None) -> CLIPPocket:
    """A model with the towers that were trained before."""
    config = CLIPPocketConfig(size=size)
    if text is not None:
        with safe_open(text, "pt") as file:
            config = CLIPPocketConfig(size=size, text=CLIPTextConfig.model_validate_json(file.metadata()["config"]))
    model = CLIPPocket(config)
    if text is not None:
        model.text.load_state_dict(load_file(text))
    if image is not None:
        own = model.image.state_dict()
        model.image.load_state_dict({name: each for name, each in from_folded(load_file(image)).items() if name in own})
    return model


def train(
    model: CLIPPocket, crops: Crops, objective: TextVectors, steps: int, batch: int, seed: int = 0
) -> list[float]:
    """The loss of every step."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_LR, weight_decay=0.01)
    warmup = max(1, round(WARMUP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    generator, draw, numbers = torch.Generator().manual_seed(seed), random.Random(seed), crops.batches(batch, seed)
    losses = []
    for step in track(range(steps), description="crops"):
        pictures, rows = crops.batch(next(numbers), model, draw)
        loss = objective.compare(model.encode_images(pictures), rows)
        loss = loss + objective.losses(model, step, generator)["text_vectors"]
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    # The sharpness at which both towers were compared.
    model.text.logit_scale.fill_(math.log(1 / objective.temperature))
    return losses


def right_names(model: CLIPPocket, crops: Crops, names: Sequence[str], batch: int = 64) -> list[bool]:
    """Of every thing whether its own name is nearest among `names`."""
    right: list[bool] = []
    with torch.inference_mode():
        texts = model.encode_texts(ClipTokenizer()([PROMPT.format(name) for name in names], model.context))
        for start in track(range(0, len(crops.lines), batch), description="things"):
            numbers = range(start, min(start + batch, len(crops.lines)))
            found = (model.encode_images(crops.batch(numbers, model, None)[0]) @ texts.T).argmax(1).tolist()
            right += [names[best] == crops.lines[number]["name"] for number, best in zip(numbers, found, strict=True)]
    return right


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = new_model(options.size, options.text, options.image)
    objective = TextVectors(str(options.vectors), options.batch, model.context)
    train(model, Crops(options.crops, "train", objective), objective, options.steps, options.batch)
    model.eval().save(options.out)


if __name__ == "__main__":
    main()
