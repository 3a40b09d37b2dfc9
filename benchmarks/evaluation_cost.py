"""What evaluation costs beside the model: data, comparison and metrics per phrase, and whether memory stays flat.

    python benchmarks/evaluation_cost.py [--phrases 10000] [--pictures 2000] [--save]

A stub answers at once with a probability map it has made before, so that everything measured is ours. Pictures are
640 x 480; truths and answers are blobs of a few thousand pixels with uneven edges; one phrase in ten is true of nothing
and one in ten has five targets.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from referent.data.sample import Sample
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
    preparation = SimpleNamespace(threshold=0.5, geometry="letterbox 416")
    model = torch.nn.Identity()
    engine = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)

    def __init__(self, blobs: list[NDArray[np.float32]]) -> None:
        self.blobs = blobs
        self.count = 0
        self.picture = Image.new("RGB", SIZE[::-1])

    def look_at(self, picture: Path) -> SimpleNamespace:
        """Nothing to encode."""
        return SimpleNamespace(segment=self.segment)

    def segment(self, references: list[Reference]) -> list[Segmentation]:
        """The next prepared answers."""
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
        return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phrases", type=int, default=10_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--save", action="store_true", help="also write predictions")
    parser.add_argument("--protocols", default="referent,cris")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    blobs = [blob(random) for _ in range(BLOBS)]
    truths: list[RLE] = [encode(one > 0.5) for one in blobs]
    samples = []
    for number in range(options.phrases):
        targets = {0: 0, 1: 5}.get(number % 10, 1)
        chosen = tuple(truths[index] for index in random.integers(0, BLOBS, targets))
        picture = Path(f"{number * options.pictures // options.phrases}.jpg")
        tags = {"kind": f"kind {number % 7}"}
        samples.append(Sample(str(number), picture, SIZE, Reference.of(f"phrase {number}"), chosen, "val", tags))
    stub = Stub(blobs)
    dataset = SimpleNamespace(name="blobs", samples=samples)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        save = Path(folder) / "predictions.jsonl" if options.save else None
        result = evaluate(stub, dataset, options.protocols.split(","), save=save)  # type: ignore[arg-type]
    ours = result.seconds - result.model_seconds
    print(
        json.dumps(
            {
                "phrases": result.phrases,
                "pictures": result.pictures,
                "ms_per_phrase": round(1000 * ours / result.phrases, 3),
                "peak_growth_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
                "protocols": list(result.scores),
                "saved": options.save,
                "machine": result.machine,
            }
        )
    )


if __name__ == "__main__":
    main()
