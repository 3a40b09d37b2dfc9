"""What evaluation costs beside the model: data, comparison and metrics per phrase, and whether memory stays flat.

    python benchmarks/evaluation_cost.py [--phrases 10000] [--pictures 2000] [--save] [--out FILE]

A stub answers at once with a probability map it has made before, so that everything measured is ours. Pictures are
640 x 480; truths and answers are blobs of a few thousand pixels with uneven edges; one phrase in ten is true of nothing
and one in ten has five targets; for one in five a target has two polygons that overlap.

Processor time is what this process used, on however busy a machine; wall time includes waiting for others.
"""

import argparse
import json
import resource
import shlex
import sys
import tempfile
from pathlib import Path
from time import process_time
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from referent.data.sample import Dataset, Sample
from referent.evaluation.run import evaluate
from referent.reference import Reference
from referent.rle import RLE, encode
from referent.segmentation import Segmentation, box_of

SIZE = (480, 640)
BLOBS = 50


def blob(random: np.random.Generator) -> NDArray[np.float32]:
    """A soft ellipse with a wavy edge, (H, W) in [0, 1]."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    cy, cx = random.uniform(0.2, 0.8, 2) * SIZE
    ry, rx = random.uniform(30, 140, 2)
    angle = np.arctan2(y - cy, x - cx)
    edge = 1 + 0.15 * np.sin(random.integers(3, 14) * angle) + 0.05 * np.sin(37 * angle)
    distance = np.hypot((y - cy) / ry, (x - cx) / rx) / edge
    soft: NDArray[np.float32] = (1 / (1 + np.exp(12 * (distance - 1)))).astype(np.float32)
    return soft


class Stub:
    """A segmenter that knows its answers beforehand."""

    name = "stub"
    preparation = SimpleNamespace(threshold=0.5)
    geometry = "letterbox 416"
    model = torch.nn.Identity()
    engine = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)

    def __init__(self, blobs: list[NDArray[np.float32]]) -> None:
        self.blobs = blobs
        self.count = 0
        self.cpu_seconds = 0.0
        self.picture = Image.new("RGB", SIZE[::-1])

    def look_at(self, picture: Path) -> SimpleNamespace:
        """Nothing to encode."""
        return SimpleNamespace(segment=self.segment)

    def segment(self, references: list[Reference]) -> list[Segmentation]:
        """The next prepared answers."""
        began = process_time()
        answers = []
        for reference in references:
            self.count += 1
            probability = self.blobs[self.count % BLOBS]
            mask = probability > 0.5
            answers.append(
                Segmentation(
                    mask, probability, box_of(mask), 0.01 * (self.count % 100), True, reference, "stub", self.picture
                )
            )
        self.cpu_seconds += process_time() - began
        return answers


def halves(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Two polygons whose common pixels lie in the middle: the hull of each row, of the upper and of the lower part."""
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    outline = [np.stack([right, rows], axis=1), np.stack([left, rows], axis=1)[::-1]]
    third = len(rows) // 3
    parts = ((outline[0][: -third or None], outline[1][third:]), (outline[0][third:], outline[1][: -third or None]))
    return [np.concatenate(part).astype(float).ravel() for part in parts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phrases", type=int, default=10_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--save", action="store_true", help="also write predictions")
    parser.add_argument("--protocols", default="referent,cris,lavt,unirefpp,grefcoco")
    parser.add_argument("--out", type=Path, help="also write the figures here")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    blobs = [blob(random) for _ in range(BLOBS)]
    truths: list[RLE] = [encode(one > 0.5) for one in blobs]
    polygons = [halves(one > 0.5) for one in blobs]
    paths = [Path(f"{number}.jpg") for number in range(options.pictures)]
    samples = []
    for number in range(options.phrases):
        targets = {0: 0, 1: 5}.get(number % 10, 1)
        indices = random.integers(0, BLOBS, targets)
        chosen = tuple(truths[index] for index in indices)
        outlines = tuple(polygons[index] for index in indices) if number % 5 == 2 else ()
        picture = paths[number * options.pictures // options.phrases]
        tags = {"kind": f"kind {number % 7}"}
        samples.append(
            Sample(str(number), picture, SIZE, Reference.of(f"phrase {number}"), chosen, "val", tags, outlines)
        )
    stub = Stub(blobs)
    dataset = Dataset("blobs", samples)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, process_time()
    with tempfile.TemporaryDirectory() as folder:
        save = Path(folder) / "predictions.jsonl" if options.save else None
        result = evaluate(stub, dataset, options.protocols.split(","), save=save)  # type: ignore[arg-type]
    figures = {
        "phrases": result.phrases,
        "pictures": result.pictures,
        "protocols": ", ".join(result.scores),
        "saved": options.save,
        "cpu_ms_per_phrase": round(1000 * (process_time() - began - stub.cpu_seconds) / result.phrases, 3),
        "wall_ms_per_phrase": round(1000 * (result.seconds - result.model_seconds) / result.phrases, 3),
        "peak_growth_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
        "machine": result.machine,
        "command": shlex.join(["python", *sys.argv]),
    }
    print(json.dumps(figures))
    if options.out:
        options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
