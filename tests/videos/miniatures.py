"""Data sets of videos in their true layouts, made of rendered clips: small, with exact masks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.scenes.clips import sample_clip
from referent.data.scenes.davis_layout import numbers
from referent.data.videos.label_pictures import write_labels
from referent.rle import RLE, encode

SIZE = (48, 64)


@dataclass(frozen=True)
class Film:
    """Frames (H, W, 3) and object numbers (H, W), 0 for none; one object begins later, one vanishes and comes back."""

    frames: tuple[NDArray[np.uint8], ...]
    labels: tuple[NDArray[np.uint8], ...]

    @property
    def first_seen(self) -> dict[int, int]:
        """Index of the first frame of each object."""
        seen: dict[int, int] = {}
        for index, labels in enumerate(self.labels):
            for number in np.unique(labels[labels > 0]).tolist():
                seen.setdefault(number, index)
        return dict(sorted(seen.items()))


@cache
def film(index: int = 0, every: int = 3) -> Film:
    made = list(sample_clip(5, index, SIZE).frames(SIZE))[::every]
    return Film(tuple(picture for _, picture in made), tuple(numbers(seen) for seen, _ in made))


def write_frames(folder: Path, one: Film, step: int = 1, names: str = "{:05d}") -> list[str]:
    """The frames as JPEG; returns their names. `step` is that of the numbers in them."""
    folder.mkdir(parents=True)
    stems = [names.format(index * step) for index in range(len(one.frames))]
    for stem, picture in zip(stems, one.frames, strict=True):
        Image.fromarray(picture).save(folder / f"{stem}.jpg")
    return stems


def save_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """A palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(path, labels)


def write_davis(root: Path, films: dict[str, Film], *, resolution: str = "480p", step: int = 1) -> None:
    """DAVIS 2017's trainval, `val` listing all but the first."""
    for name, one in films.items():
        stems = write_frames(root / "JPEGImages" / resolution / name, one, step)
        for stem, labels in zip(stems, one.labels, strict=True):
            save_labels(root / "Annotations" / resolution / name / f"{stem}.png", labels)
    (root / "ImageSets" / "2017").mkdir(parents=True)
    first, *others = films
    (root / "ImageSets" / "2017" / "train.txt").write_text(f"{first}\n")
    (root / "ImageSets" / "2017" / "val.txt").write_text("".join(f"{name}\n" for name in others))


def write_flat(root: Path, films: dict[str, Film]) -> None:
    """DAVIS 2016 without resolutions, every second frame, one bit a pixel."""
    for name, one in films.items():
        stems = write_frames(root / "JPEGImages" / name, one, 2)
        (root / "Annotations" / name).mkdir(parents=True)
        for stem, labels in zip(stems, one.labels, strict=True):
            Image.fromarray(labels > 0).save(root / "Annotations" / name / f"{stem}.png")
    (root / "train.txt").write_text("".join(f"{name}\n" for name in films))


def write_split_folders(root: Path, split: str, films: dict[str, Film], *, given: str = "all", step: int = 1) -> None:
    """`<split>/JPEGImages/<video>` and `<split>/Annotations/<video>`; `given` says which frames have masks: all, the
    first, those where an object begins, or none."""
    for name, one in films.items():
        stems = write_frames(root / split / "JPEGImages" / name, one, step)
        keep = {
            "all": set(range(len(stems))),
            "first": {0},
            "begins": set(one.first_seen.values()),
            "none": set(),
        }[given]
        for index in keep:
            save_labels(root / split / "Annotations" / name / f"{stems[index]}.png", one.labels[index])


def write_youtube_vos(root: Path, films: dict[str, dict[str, Film]], categories: dict[str, str]) -> None:
    """Splits with videos; masks of `train` everywhere, of others where an object begins; frames by fives."""
    for split, videos in films.items():
        write_split_folders(root, split, videos, given="all" if split == "train" else "begins", step=5)
        meta = {
            name: {
                "objects": {
                    str(number): {
                        "category": categories[name],
                        "frames": [f"{5 * index:05d}" for index in range(first, len(one.frames))],
                    }
                    for number, first in one.first_seen.items()
                }
            }
            for name, one in videos.items()
        }
        (root / split / "meta.json").write_text(json.dumps({"videos": meta}))


def run_lengths(one: Film, number: int) -> list[RLE | None]:
    return [encode(labels == number) if (labels == number).any() else None for labels in one.labels]
