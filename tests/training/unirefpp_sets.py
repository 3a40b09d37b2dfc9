"""Small data sets for UniRef++'s stages, in the true formats of the published ones, all of the same made pictures."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from detection_data import COLOURS, IDS, Square, annotation, drawn, scenes
from PIL import Image

from referent.rle import encode

WORDS = {"person": "red", "sports ball": "green", "cat": "blue"}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", *WORDS.values(), "square", "left", "right"]
SIZE = (72, 60)


def write_refcoco(folder: Path, count: int = 4) -> Path:
    """`refs(unc).p` and `instances.json`, beside `train2014/`; the last picture is of split "val"."""
    folder.mkdir(parents=True)
    (folder.parent / "train2014").mkdir(exist_ok=True)
    images, annotations, refs = [], [], []
    for number, squares in enumerate(scenes(count), 1):
        name = f"COCO_train2014_{number:012d}.jpg"
        drawn(*SIZE, squares).save(folder.parent / "train2014" / name, quality=95)
        images.append({"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]})
        for place, one in enumerate(squares):
            ann_id = 10 * number + place
            annotations.append(annotation(ann_id, number, one))
            text = f"a {WORDS[one[0]]} square"
            sentences = [{"sent_id": ann_id, "sent": text, "raw": text, "tokens": text.split()}]
            split = "val" if number == count else "train"
            refs.append(
                {"ref_id": ann_id, "ann_id": ann_id, "image_id": number, "split": split, "sentences": sentences}
            )
    categories = [{"id": number, "name": name} for name, number in IDS.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs, 0))
    return folder


def write_fss(folder: Path, count: int = 3) -> Path:
    """A folder a class with `1.jpg` and `1.png`, and so on, in `train/` and `val/`."""
    for split in ("train", "val"):
        for kind, name in enumerate(COLOURS):
            own = folder / split / name
            own.mkdir(parents=True)
            for number in range(1, count + 1):
                left, top = 5 * number, 4 * number + kind
                drawn(*SIZE, [(name, left, top, 22)]).save(own / f"{number}.jpg", quality=95)
                mask = np.zeros(SIZE[::-1], dtype=np.uint8)
                mask[top : top + 22, left : left + 22] = 255
                Image.fromarray(mask).save(own / f"{number}.png")
    return folder


Squares = list[Square]
VIDEOS = ("0a49", "0b51")


def _frames() -> list[Squares]:
    """Of every video: two squares that move."""
    return [[("person", 4 + 6 * number, 6, 20), ("cat", 44, 30 - 4 * number, 20)] for number in range(4)]


def _labels(squares: Squares) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Object numbers, from 1 in the order of the squares."""
    labels = np.zeros(SIZE[::-1], dtype=np.uint8)
    for value, (_, left, top, side) in enumerate(squares, 1):
        labels[top : top + side, left : left + side] = value
    return labels


def _write_frames(split: Path, step: int) -> list[str]:
    """`JPEGImages/<video>/` and `Annotations/<video>/`; the names of the frames."""
    names = [f"{step * number:05d}" for number in range(len(_frames()))]
    for video in VIDEOS:
        pictures, masks = (split / place / video for place in ("JPEGImages", "Annotations"))
        pictures.mkdir(parents=True)
        masks.mkdir(parents=True)
        for name, squares in zip(names, _frames(), strict=True):
            drawn(*SIZE, squares).save(pictures / f"{name}.jpg", quality=95)
            image = Image.fromarray(_labels(squares))
            image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            image.save(masks / f"{name}.png")
    return names


def write_youtube_vos(folder: Path) -> Path:
    """`train/` with `meta.json`; every fifth frame."""
    names = _write_frames(folder / "train", 5)
    objects = {str(number): {"category": "thing", "frames": names} for number in (1, 2)}
    (folder / "train" / "meta.json").write_text(
        json.dumps({"videos": {video: {"objects": objects} for video in VIDEOS}})
    )
    return folder


def write_lvos(folder: Path) -> Path:
    """`train/` with `train_meta.json`."""
    names = _write_frames(folder / "train", 1)
    spans = {"1": {"frame_range": {"start": "0", "end": str(len(names)), "frame_nums": str(len(names))}}}
    (folder / "train" / "train_meta.json").write_text(
        json.dumps({"videos": {video: {"objects": spans} for video in VIDEOS}})
    )
    return folder


def write_ovis(folder: Path) -> Path:
    """`annotations_train.json` beside `train/<video>/`."""
    videos, annotations = [], []
    masks = [[encode(_labels(squares) == number) for squares in _frames()] for number in (1, 2)]
    for place, video in enumerate(VIDEOS):
        (folder / "train" / video).mkdir(parents=True)
        files = [f"{video}/img_{number:07d}.jpg" for number in range(len(_frames()))]
        for name, squares in zip(files, _frames(), strict=True):
            drawn(*SIZE, squares).save(folder / "train" / name, quality=95)
        videos.append({"id": place, "width": SIZE[0], "height": SIZE[1], "length": len(files), "file_names": files})
        annotations += [
            {"id": 2 * place + number, "video_id": place, "category_id": 3, "iscrowd": 0, "segmentations": own}
            for number, own in enumerate(masks)
        ]
    content = {"videos": videos, "annotations": annotations, "categories": [{"id": 3, "name": "Bird"}]}
    (folder / "annotations_train.json").write_text(json.dumps(content))
    return folder


def write_ref_youtube_vos(folder: Path) -> Path:
    """`meta_expressions/train/meta_expressions.json` beside `train/`."""
    names = _write_frames(folder / "train", 5)
    said = {"0": {"exp": "a red square", "obj_id": "1"}, "1": {"exp": "a blue square", "obj_id": "2"}}
    (folder / "meta_expressions" / "train").mkdir(parents=True)
    path = folder / "meta_expressions" / "train" / "meta_expressions.json"
    path.write_text(json.dumps({"videos": {video: {"expressions": said, "frames": names} for video in VIDEOS}}))
    return folder
