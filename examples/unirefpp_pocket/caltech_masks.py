"""Masks of Caltech-101's objects, found from nothing but the names of its folders, for few-shot training.

    python examples/unirefpp_pocket/caltech_masks.py DEEPLAB.safetensors CALTECH101 OUT

OUT gets `instances.json`, a COCO file of one mask a picture, and `images`, a link to CALTECH101. A classifier of each
class tells pixels of DeepLabV3's maps in the middle of its pictures from those near their borders and near the borders
of other classes' pictures, and then learns from its own answers (co-segmentation). Colours and edges make them finer.
Masks that are too small, too large or too unsure are left out; what remains shows the object, and is not exact.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.deeplab import DeepLab
from referent.rle import encode

SIDE = 320  # thumbnails are made so large for the network
GRID = 20  # pixels of its maps on a side, at stride 16
MOST = 80  # pictures of a class
ROUNDS = 4
OTHERS = 6000  # pixels of other classes' borders that a classifier sees
SHARES = (0.06, 0.7)  # of the picture that a mask may cover
UNSURE = 0.5  # least mean certainty of a mask's pixels and of the others', 0 to 1

# Not taught, so that few-shot tests stay honest: the classes of the test, and a plant that stands in a pot.
LEFT_OUT = ("cellphone", "stop_sign", "bonsai")
# A part and its whole, or two names of one thing: an example of one would be told that the other is not it.
DOUBLES = ("cougar_face", "crocodile_head", "faces_easy", "flamingo_head", "windsor_chair", "snoopy", "garfield")


def places() -> Tensor:
    """(GRID, GRID): distance from the middle, 1 at the middle of a side."""
    line = torch.linspace(-1, 1, GRID)
    return torch.hypot(line[:, None], line[None])


def rim() -> Tensor:
    """(GRID, GRID) bool: the two outermost rows and columns."""
    line = torch.linspace(-1, 1, GRID).abs() > 0.88
    return line[:, None] | line[None]


@dataclass(frozen=True)
class Class:
    """One class: its pictures, and what DeepLabV3 sees of them, (pictures, GRID * GRID, channels)."""

    name: str
    files: list[Path]
    features: Tensor


@torch.inference_mode()
def look_at(folder: Path, teacher: DeepLab) -> Class:
    """The first `MOST` pictures of a folder."""
    files = sorted(folder.glob("*.jpg"))[:MOST]
    features = []
    for file in files:
        picture = Image.open(file).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        maps = [F.normalize(seen, dim=1) for seen in teacher.maps(image)[2:]]
        features.append(torch.cat(maps, dim=1).flatten(2).transpose(1, 2))
    return Class(folder.name, files, torch.cat(features))


def classifier(pixels: Tensor, goal: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Logistic regression: (n, C) pixels, (n,) goals and weights -> (C,) and (1,)."""
    slope, offset = torch.zeros(pixels.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([slope, offset], max_iter=40)

    def closure() -> Tensor:
        optimiser.zero_grad()
        errors = F.binary_cross_entropy_with_logits(pixels @ slope + offset, goal, weight, reduction="sum")
        loss = errors / weight.sum() + 2e-4 * slope.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return slope.detach(), offset.detach()


def cosegmented(own: Class, others: Tensor) -> Tensor:
    """(pictures, GRID, GRID) logits of the object."""
    pixels = own.features.flatten(0, 1)
    count = len(own.files)
    inside = (places() < 0.55).float().flatten().repeat(count)
    outside = rim().float().flatten().repeat(count)
    prior = (0.5 - places().flatten()).repeat(count)
    seen = torch.cat([pixels, pixels, others])
    goal = torch.cat([torch.ones(len(pixels)), torch.zeros(len(pixels) + len(others))])
    logits = prior
    for _ in range(ROUNDS):
        weight = torch.cat(
            [inside / inside.sum(), 0.7 * outside / outside.sum(), torch.full((len(others),), 0.3 / len(others))]
        )
        slope, offset = classifier(seen, goal, weight)
        logits = pixels @ slope + offset
        share = (logits + 1.5 * prior).sigmoid()
        inside, outside = share.square() * (share > 0.5), (1 - share).square() * (share <= 0.5)
    return (logits + 0.5 * prior).reshape(count, GRID, GRID)


def mean_around(image: Tensor, reach: int) -> Tensor:
    """Means of (B, C, H, W) over squares of 2 `reach` + 1 pixels."""
    return F.avg_pool2d(image, 2 * reach + 1, 1, reach, count_include_pad=False)


def guided(image: Tensor, share: Tensor, reach: int = 5, smooth: float = 3e-4) -> Tensor:
    """He et al., "Guided Image Filtering", 2010: (1, 1, H, W) follows the edges of (1, 3, H, W), both 0 to 1."""
    mean, mean_share = mean_around(image, reach), mean_around(share, reach)
    covariance = mean_around(image * share, reach) - mean * mean_share
    products = mean_around((image[:, :, None] * image[:, None]).flatten(1, 2), reach)
    variance = products.unflatten(1, (3, 3)) - mean[:, :, None] * mean[:, None]
    system = variance[0].permute(2, 3, 0, 1) + smooth * torch.eye(3)
    slope = torch.linalg.solve(system, covariance[0].permute(1, 2, 0)).permute(2, 0, 1)[None]
    offset = mean_share - (slope * mean).sum(1, keepdim=True)
    return ((mean_around(slope, reach) * image).sum(1, keepdim=True) + mean_around(offset, reach)).clamp(0, 1)


def colour_evidence(image: Tensor, share: Tensor, bins: int = 12) -> Tensor:
    """(1, 1, H, W): logarithm of how much likelier a pixel's colour is in the object than outside, at most 2.5."""
    levels = (image[0] * (bins - 1e-3)).long()
    code = (levels[0] * bins + levels[1]) * bins + levels[2]

    def smoothed(weight: Tensor) -> Tensor:
        counts = torch.zeros(bins**3).scatter_add_(0, code.flatten(), weight.flatten()).reshape(1, 1, bins, bins, bins)
        counts = counts + F.avg_pool3d(counts, 3, 1, 1)
        return (counts / counts.sum().clamp(min=1e-6)).flatten() + 1e-5

    return (smoothed(share).log() - smoothed(1 - share).log())[code].clamp(-2.5, 2.5)[None, None]


def refined(picture: Image.Image, logits: Tensor) -> Tensor:
    """(H, W) share of the object at the picture's size, from its (GRID, GRID) logits."""
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    size = (picture.height, picture.width)
    seen = F.interpolate(logits[None, None], size, mode="bicubic", align_corners=False)
    seen = 0.6 * (seen - 0.5).clamp(-4, 4)
    share = seen.sigmoid()
    for _ in range(ROUNDS):
        share = guided(image, (seen + 1.2 * colour_evidence(image, share)).sigmoid())
    return share[0, 0]


def main() -> None:
    """Write the COCO file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deeplab", type=Path)
    parser.add_argument("caltech", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    teacher = DeepLab(arguments.deeplab)
    folders = [
        folder
        for folder in sorted(arguments.caltech.iterdir())
        if folder.is_dir() and folder.name not in (*LEFT_OUT, *DOUBLES)
    ]
    classes = [look_at(folder, teacher) for folder in track(folders, description="looking")]
    draw = torch.Generator().manual_seed(0)
    borders = torch.cat([own.features[:, rim().flatten()].flatten(0, 1)[::20] for own in classes])
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for category, own in enumerate(track(classes, description="masks"), 1):
        others = borders[torch.randperm(len(borders), generator=draw)[:OTHERS]]
        for file, logits in zip(own.files, cosegmented(own, others), strict=True):
            picture = Image.open(file).convert("RGB")
            share = refined(picture, logits)
            mask = share > 0.5
            covered = float(mask.float().mean())
            certainty = (2 * share - 1).abs()
            if not SHARES[0] <= covered <= SHARES[1]:
                continue
            if min(certainty[mask].mean(), certainty[~mask].mean()) < UNSURE:
                continue
            number = len(images) + 1
            images.append(
                {
                    "id": number, "file_name": f"{own.name}/{file.name}", "width": picture.width,
                    "height": picture.height, "split": "train",
                }
            )  # fmt: skip
            annotations.append(
                {
                    "id": number, "image_id": number, "category_id": category, "iscrowd": 0,
                    "segmentation": encode(mask.numpy()), "area": int(mask.sum()),
                }
            )  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    link = arguments.out / "images"
    link.unlink(missing_ok=True)
    link.symlink_to(arguments.caltech.resolve(), target_is_directory=True)
    categories = [{"id": number, "name": own.name.replace("_", " ")} for number, own in enumerate(classes, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (arguments.out / "instances.json").write_text(json.dumps(content))
    print(f"{len(images)} masks of {len(classes)} classes in {arguments.out}")


if __name__ == "__main__":
    main()
