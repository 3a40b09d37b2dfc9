"""Clips in the layout of DAVIS 2017, with expressions as Ref-YouTube-VOS has them.

    JPEGImages/480p/<clip>/00000.jpg
    Annotations/480p/<clip>/00000.png                         palette PNG: 0 nothing, 1 the first thing, ...
    ImageSets/2017/{train,val}.txt
    meta.json                                                 of each thing: its shape, and the frames it is seen in
    meta_expressions/{train,val}/meta_expressions.json        {exp, obj_id} by clip

"480p" is what the tools look for; the frames have the size that was asked for. A thing's number is the same in all
frames of its clip; where it is hidden or outside the picture, the number is absent from that frame.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from referent.data.scenes.clips import Clip, sample_clip
from referent.data.scenes.motions import say_of_clip
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import Trace, trace
from referent.data.videos.label_pictures import write_labels
from referent.files import atomic_path, atomic_write

RESOLUTION = "480p"
YEAR = "2017"
QUALITY = 95
"""Of JPEG."""
SPLITS = ("train", "val")


class DavisLayout:
    """Writes clips one by one, then what lists them.

    Args:
        folder: where to; made where missing.
        seed: of the clips.
        size: (height, width) of the frames.
    """

    def __init__(self, folder: Path, seed: int, size: tuple[int, int]) -> None:
        self.folder, self._seed, self._size = folder, seed, size
        self._objects: dict[str, dict[str, Any]] = {}
        self._expressions: dict[str, dict[str, dict[str, Any]]] = {split: {} for split in SPLITS}

    def add(self, index: int) -> None:
        """Makes and writes clip `index`; frames that are there already are not painted again."""
        clip = sample_clip(self._seed, index, self._size)
        name = f"{index:05d}"
        frames = [f"{number:05d}" for number in range(len(clip.scenes))]
        seen_in = self._write_frames(clip, name, frames)
        self._objects[name] = {
            "objects": {
                str(number): {"category": look.shape, "frames": seen_in[number - 1]}
                for number, look in enumerate(clip.looks, start=1)
            }
        }
        said = say_of_clip(clip, Random(f"clip phrases {self._seed}/{index}"))
        self._expressions[split_of(index)][name] = {
            "frames": frames,
            "expressions": {
                str(number): {"exp": one.phrase, "obj_id": str(one.targets[0] + 1), "kind": one.kind}
                for number, one in enumerate(said)
            },
        }

    def finish(self) -> None:
        """Writes the lists of clips and expressions."""
        sets = self.folder / "ImageSets" / YEAR
        sets.mkdir(parents=True, exist_ok=True)
        for split, expressions in self._expressions.items():
            atomic_write(sets / f"{split}.txt", "".join(f"{name}\n" for name in expressions))
            folder = self.folder / "meta_expressions" / split
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / "meta_expressions.json", json.dumps({"videos": expressions}))
        atomic_write(self.folder / "meta.json", json.dumps({"videos": self._objects}))

    def _write_frames(self, clip: Clip, name: str, frames: list[str]) -> list[list[str]]:
        """Pictures and masks; returns for each thing the frames that show it."""
        pictures = self.folder / "JPEGImages" / RESOLUTION / name
        masks = self.folder / "Annotations" / RESOLUTION / name
        for folder in (pictures, masks):
            folder.mkdir(parents=True, exist_ok=True)
        seen_in: list[list[str]] = [[] for _ in clip.looks]
        for scene, frame in zip(clip.scenes, frames, strict=True):
            seen = trace(scene, self._size)
            for mask, listed in zip(seen.masks, seen_in, strict=True):
                if mask.any():
                    listed.append(frame)
            write_labels(masks / f"{frame}.png", numbers(seen))
            if not (pictures / f"{frame}.jpg").exists():
                with atomic_path(pictures / f"{frame}.jpg", sync=False) as path:
                    Image.fromarray(paint(seen)).save(path, format="JPEG", quality=QUALITY)
        return seen_in


def split_of(index: int) -> str:
    """Of ten clips in a row the last is in "val"."""
    return "val" if index % 10 == 9 else "train"


def numbers(seen: Trace) -> NDArray[np.uint8]:
    """(H, W): 0 where no thing is seen, 1 for the first thing, and so on."""
    found = np.zeros(seen.size, dtype=np.uint8)
    for number, mask in enumerate(seen.masks, start=1):
        found[mask] = number
    return found
