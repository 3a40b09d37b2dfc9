"""Class maps of the public DeepLabV3 as extra training masks for cris-pocket.

    python examples/cris_pocket/pseudo_labels.py DEEPLAB.safetensors DATA OUT.jsonl

DATA holds the folders `clothing`, `car_parts`, `people` (photographs in `images/`) and `caltech101` (a folder a name).
Only classes that each folder is known to show are kept, and only where the network is sure: the student keeps what
the teacher knows without learning its doubts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch.nn import functional as F

from referent.encoders.deeplab import DeepLab
from referent.rle import encode

VOC = (
    (
        "background airplane bicycle bird boat bottle bus car cat chair cow dining-table dog horse motorcycle person "
        "potted-plant sheep couch train tv"
    )
    .replace("-", "\N{NO-BREAK SPACE}")
    .split(" ")
)
VOC = [name.replace("\N{NO-BREAK SPACE}", " ") for name in VOC]

SIZE = 513  # the teacher's training size
SURE = 0.85  # mean probability inside the mask
SMALLEST = 0.02  # share of the picture
MOST_PER_FOLDER = 160

KNOWN = {"clothing": "person", "car_parts": "car", "people": "person"}
CALTECH = {
    "airplanes": "airplane", "motorbikes": "motorcycle", "car_side": "car", "chair": "chair", "windsor_chair": "chair",
    "faces": "person", "ferry": "boat", "ketch": "boat", "schooner": "boat", "dalmatian": "dog", "emu": "bird",
    "flamingo": "bird", "ibis": "bird", "pigeon": "bird", "rooster": "bird", "wild_cat": "cat",
}  # fmt: skip


@torch.inference_mode()
def probabilities(teacher: DeepLab, picture: Image.Image) -> torch.Tensor:
    """(21, H, W) class probabilities at the picture's size."""
    scale = SIZE / max(picture.size)
    shrunk = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    canvas = np.full((SIZE, SIZE, 3), 127, np.uint8)
    canvas[: shrunk.height, : shrunk.width] = np.asarray(shrunk)
    image = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 127.5 - 1
    logits = F.interpolate(teacher.logits(image), (SIZE, SIZE), mode="bilinear", align_corners=False)
    logits = logits[:, :, : shrunk.height, : shrunk.width]
    return F.interpolate(logits, picture.size[::-1], mode="bilinear", align_corners=False)[0].softmax(0)


def jobs(data: Path) -> list[tuple[str, Path, str]]:
    """(id, picture, class name) of every training picture worth asking about."""
    found: list[tuple[str, Path, str]] = []
    for folder, name in KNOWN.items():
        images = json.loads((data / folder / "instances.json").read_text())["images"]
        found += [
            (f"{folder}/{image['file_name']}", data / folder / "images" / image["file_name"], name)
            for image in images
            if image["split"] == "train"
        ]
    for folder, name in CALTECH.items():
        pictures = sorted((data / "caltech101" / folder).glob("*.jpg"))[:MOST_PER_FOLDER]
        found += [(f"{folder}/{picture.name}", picture, name) for picture in pictures]
    return found


def main() -> None:
    """Write one JSON line a sure mask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deeplab", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    teacher = DeepLab(arguments.deeplab)
    kept = 0
    with arguments.out.open("w") as stream:
        for identity, path, name in track(jobs(arguments.data), description="teacher"):
            probability = probabilities(teacher, Image.open(path).convert("RGB"))
            mask = (probability.argmax(0) == VOC.index(name)).numpy()
            if mask.mean() < SMALLEST or probability[VOC.index(name)].numpy()[mask].mean() < SURE:
                continue
            line = {
                "id": f"teacher/{identity}", "image": str(path.resolve()), "phrase": name, "rle": encode(mask),
                "split": "train", "tags": {"kind": "name", "name": name, "source": "teacher"},
            }  # fmt: skip
            stream.write(json.dumps(line) + "\n")
            kept += 1
    print(f"{kept} masks in {arguments.out}")


if __name__ == "__main__":
    main()
