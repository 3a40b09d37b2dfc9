"""Frames a second of tracking: the official procedure beside ours, and a whole run from file to file.

python benchmarks/video_speed.py procedure [--objects 1 3 5] [--threads 2] [--out benchmarks/results]
python benchmarks/video_speed.py clip --model cris-pocket [--phrase "a dog"] [--threads 2] [--out benchmarks/results]

`procedure`: UniRef++ with ResNet-50 and random weights, frames of 480 x 854, objects that were shown by masks on the
first frame. "published" is the official order as our notes on it tell, written anew here and in
`unirefpp_published.py`: the image encoder runs once for the references and once more for every object, references are
always two, objects go one by one, masks of all 300 queries are enlarged to the frame's size. "fp32" and "bf16" are what
`Segmenter.track` does. In all, random weights find nothing worth remembering, so the same boxes are remembered. The
runs take turns, so that a busy moment hits all.

`clip`: a video of 640 x 360 is decoded, tracked, drawn on and encoded. A model that takes examples is shown a mask, any
other one a phrase.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from speed import processor, seconds
from torch import Tensor
from torch.nn import functional as F
from unirefpp_published import published
from unirefpp_speed import made

import referent
from referent.drawing import Label, draw
from referent.engine import Encoded, Engine
from referent.files import atomic_write
from referent.layers.packed import bf16_is_native
from referent.models.base import Batch, Studied
from referent.models.unirefpp import UniRef, UniRefConfig
from referent.models.unirefpp.mask_head import STRIDE, finely
from referent.preparation import Preparation
from referent.tracking.aggregation import shared_out
from referent.tracking.follower import Follower
from referent.tracking.memory import Features
from referent.tracking.objects import Name
from referent.tracking.procedure import PROCEDURES
from referent.video import VideoWriter, read_video

SIZE = (480, 854)
CLIP, CLIP_FRAMES, RATE = (360, 640), 40, Fraction(25)


def boxes(count: int, size: tuple[int, int], shift: int = 0) -> Tensor:
    """(count, H, W) bool: boxes side by side."""
    height, width = size
    masks = torch.zeros(count, height, width, dtype=torch.bool)
    side = width // (2 * count)
    for number in range(count):
        left = number * (width // count) + shift
        masks[number, height // 4 : height // 4 + side, left : left + side] = True
    return masks


class Ours(Follower):
    """Remembers boxes, whatever it finds."""

    def __init__(self, model: UniRef, count: int, dtype: torch.dtype) -> None:
        preparation = Preparation(size=SIZE[0], longest=1333, fit="shortest", threshold=0.5)
        procedure = replace(PROCEDURES["davis-2017"], threshold=None)  # random weights are sure of nothing
        super().__init__(Engine(model, "cpu", dtype, size=SIZE[0]), preparation, procedure)
        self.count = count
        for number in range(count):
            self.begin(number, torch.zeros(3, dtype=torch.int64))

    def _remember(self, encoded: Encoded, masks: Mapping[Name, Tensor], given: Mapping[Name, Tensor]) -> None:
        super()._remember(encoded, dict(enumerate(boxes(self.count, SIZE, 8))), given)

    def first(self, image: Tensor) -> None:
        """The frame on which all objects are shown."""
        self.step(image, SIZE, dict(enumerate(boxes(self.count, SIZE)[:, None].float())))

    def next(self, image: Tensor) -> Tensor:
        """Another frame: (count, H, W) probabilities."""
        return self.step(image, SIZE, {}).probabilities


class Published:
    """The official procedure for masks on DAVIS; see above."""

    def __init__(self, model: UniRef, count: int) -> None:
        self.model = published(model)
        self.count = count
        self.references: list[tuple[Features, Features]] = []

    def first(self, image: Tensor) -> None:
        """The frame on which all objects are shown."""
        seen = self._studied(image, boxes(self.count, SIZE))
        self.references = [(one, one) for one in seen]

    def next(self, image: Tensor) -> Tensor:
        """Another frame: (count, H, W) probabilities."""
        probabilities = torch.stack([self._probability(image, number) for number in range(self.count)])
        shared_out(probabilities)
        seen = self._studied(image, boxes(self.count, SIZE, 8))
        self.references = [(first, one) for (first, _), one in zip(self.references, seen, strict=True)]
        return probabilities

    def _probability(self, image: Tensor, number: int) -> Tensor:
        model = self.model
        sight = model.look_at(image[None])
        finest, *levels, sizes, _ = sight
        examples = Studied(self.references[number], torch.zeros(2, dtype=torch.int64))
        batch = Batch(image[None], torch.zeros(1, 3).long(), torch.zeros(1).long(), examples=examples)
        fused = model._fused(list(levels), None, model._examples(batch))
        extent = model.extent(finest, fused, sizes)
        memory = model.encoder(fused, extent)
        decoded, scores = model.decoded(memory, extent)
        masks = model.masks(decoded, model.mask_features(model.maps(memory, extent)[:3], finest), sizes)
        grown = finely(masks[0], STRIDE)
        chosen = grown[scores[-1, 0, :, 0].argmax(), : SIZE[0], : SIZE[1]]
        return F.interpolate(chosen.sigmoid()[None, None], SIZE, mode="bilinear", align_corners=False)[0, 0]

    def _studied(self, image: Tensor, masks: Tensor) -> list[Features]:
        """The image encoder once, the mask encoder once an object."""
        sight = self.model.look_at(image[None])
        return [self.model.remember(sight, image[None], mask[None, None].float()) for mask in masks]


@torch.inference_mode()
def procedure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds a frame of both, for each number of objects."""
    torch.manual_seed(0)
    model = made(UniRefConfig.r50()).eval()
    frames = [torch.randn(3, *SIZE) for _ in range(options.frames + 2)]
    rows = []
    for count in options.objects:
        runs: dict[str, Any] = {"published": Published(model, count), "fp32": Ours(model, count, torch.float32)}
        if bf16_is_native():
            runs["bf16"] = Ours(model, count, torch.bfloat16)
        times: dict[str, list[float]] = {name: [] for name in runs}
        for index, frame in enumerate(frames):
            for name, run in runs.items():
                spent = seconds(partial(run.next if index else run.first, frame))
                # The first frame is given, and the second has no reference between.
                if index > 1:
                    times[name].append(spent)
        best = {name: min(found) for name, found in times.items()}
        rows.append(
            {"objects": count, "seconds a frame": {name: round(spent, 2) for name, spent in best.items()}}
            | {"median": {name: round(statistics.median(found), 2) for name, found in times.items()}}
            | {"times faster": {name: round(best["published"] / spent, 2) for name, spent in best.items()}}
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    return {"model": "unirefpp-r50, random weights", "size": SIZE, "rows": rows}


def moving(frames: int) -> Iterator[NDArray[np.uint8]]:
    """Noise, and a square that crosses it."""
    height, width = CLIP
    back = np.random.default_rng(0).integers(60, 120, (height // 8, width // 8, 3), dtype=np.uint8)
    back = back.repeat(8, 0).repeat(8, 1)
    for index in range(frames):
        frame = back.copy()
        frame[120:240, 40 + 8 * index : 160 + 8 * index] = (220, 40, 40)
        yield frame


def clip(options: argparse.Namespace) -> dict[str, Any]:
    """Frames a second from file to file, with their share of decoding, tracking, drawing and encoding."""
    segmenter = referent.load(options.model)
    shown = "example" in segmenter.reference_kinds and options.phrase is None
    mask = np.zeros(CLIP, dtype=bool)
    mask[120:240, 40:160] = True
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "clip.mp4"), Path(folder, "overlay.mp4")
        with VideoWriter(source, RATE) as writer:
            for index, frame in enumerate(moving(options.frames)):
                writer.add(Image.fromarray(frame), float(index / RATE))
        for _ in range(options.repeats + 1):
            tracker = segmenter.track({"it": None if shown else options.phrase or "the red square"})
            runs.append(_from_file_to_file(source, target, tracker, mask if shown else None))
    best = min(runs[1:], key=lambda run: run["seconds"])
    parts = {name: round(1e3 * best[name] / options.frames, 2) for name in ("decode", "track", "draw and encode")}
    return {
        "model": segmenter.name, "size": CLIP, "frames": options.frames, "objects": 1,
        "given": "a mask" if shown else "a phrase", "frames a second": round(options.frames / best["seconds"], 2),
        "milliseconds a frame": parts,
    }  # fmt: skip


def _from_file_to_file(source: Path, target: Path, tracker: Any, mask: NDArray[np.bool_] | None) -> dict[str, float]:
    spent = {"decode": 0.0, "track": 0.0, "draw and encode": 0.0}

    def timed(part: str, call: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = call()
        spent[part] += time.perf_counter() - start
        return result

    began = time.perf_counter()
    frames = iter(read_video(source))
    with VideoWriter(target, RATE) as writer:
        while (frame := timed("decode", lambda: next(frames, None))) is not None:
            masks = {"it": mask} if mask is not None and frame.index == 0 else {}
            answer = timed("track", lambda frame=frame, masks=masks: tracker.step(frame, masks))["it"]
            found = [(Label("it", f"  {answer.score:.2f}"), answer.mask, answer.box)] if answer.box else []
            timed(
                "draw and encode",
                lambda frame=frame, found=found: writer.add(draw(frame.picture, found), frame.seconds),
            )
    return spent | {"seconds": time.perf_counter() - began}


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("procedure", "clip"))
    parser.add_argument("--objects", type=int, nargs="+", default=(1, 3, 5))
    parser.add_argument("--frames", type=int, help="measured; by default 2 of a procedure, 40 of a clip")
    parser.add_argument("--repeats", type=int, default=3, help="of a clip")
    parser.add_argument("--model", default="cris-pocket", help="of a clip")
    parser.add_argument("--phrase", help="of a clip, instead of a mask")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--note", help="written into the result: what else the machine was doing")
    options = parser.parse_args()
    options.frames = options.frames or (2 if options.what == "procedure" else CLIP_FRAMES)
    torch.set_num_threads(options.threads)
    result = (procedure if options.what == "procedure" else clip)(options)
    result |= {
        "threads": options.threads, "torch": torch.__version__, "machine": processor(), "note": options.note,
        "command": " ".join(["python", "benchmarks/video_speed.py", *sys.argv[1:]]),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if options.out:
        name = "video-procedure" if options.what == "procedure" else f"video-clip-{result['model']}"
        options.out.mkdir(parents=True, exist_ok=True)
        atomic_write(options.out / f"{name}.json", json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
