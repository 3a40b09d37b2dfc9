"""The pictures of docs/compare.md and docs/look.md, of made answers about made pictures: no model, under a minute.

python examples/compare_and_look.py OUT

writes scenes, two results with their predictions, `differences.png` and a page to OUT. One answerer confuses things
with each other and draws well, the other takes the right thing and draws badly. The page is photographed with

chromium --headless --window-size=1400,1250 --hide-scrollbars --screenshot=look.png OUT/page/index.html#set=random
"""

from __future__ import annotations

import argparse
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray

from referent.data.sample import Dataset, Sample
from referent.evaluation.difference_plot import draw_differences
from referent.evaluation.differences import differences
from referent.evaluation.look.writing import write_page
from referent.evaluation.pairing import open_saved
from referent.evaluation.reading import read_result
from referent.evaluation.run import evaluate
from referent.evaluation.source import Source
from referent.picture import read_picture
from referent.reference import Reference
from referent.segmentation import Segmentation, box_of

PICTURES = 60
CONFUSING = {"relation": 0.5, "ordinal": 0.6, "superlative": 0.35, "plural": 0.3, "attribute": 0.1, "none": 0.3}
"""How often one answerer takes another thing, by kind of phrase."""
OVERLOOKED, IMAGINED, SHIFT = 0.12, 0.5, 14
"""How often the other sees nothing, or something where nothing is; by how many pixels it may be off."""

Bools = NDArray[np.bool_]


class MadeAnswers:
    """Looks like a segmenter, knows the truth, and errs in its own way."""

    geometry = "its own"
    preparation = SimpleNamespace(threshold=0.5, geometry=geometry)
    engine = SimpleNamespace(device=torch.device("cpu"), dtype=torch.float32)

    def __init__(self, name: str, dataset: Dataset, confused: bool) -> None:
        self.name, self.confused = name, confused
        self.samples: dict[Path, dict[str, Sample]] = {}
        for sample in dataset.samples:
            self.samples.setdefault(sample.picture, {})[str(sample.reference)] = sample

    def look_at(self, picture: Path) -> SimpleNamespace:
        """What `evaluate` asks of a segmenter."""
        return SimpleNamespace(segment=lambda references: [self._answer(picture, one) for one in references])

    def _answer(self, picture: Path, reference: Reference) -> Segmentation:
        # A seed of the phrase's own: the order of questions changes nothing.
        random = np.random.default_rng(zlib.crc32(f"{self.name} {picture.name} {reference}".encode()))
        sample = self.samples[picture][str(reference)]
        others = [one for one in self.samples[picture].values() if one.targets]
        mask = self._confused(sample, others, random) if self.confused else self._careless(sample, others, random)
        score = float(np.clip(random.normal(0.75 if mask.any() else 0.25, 0.12), 0, 1))
        probability = mask.astype(np.float32)
        return Segmentation(
            mask, probability, box_of(mask), score, bool(mask.any()), reference, self.name, read_picture(picture)
        )

    def _confused(self, sample: Sample, others: Sequence[Sample], random: np.random.Generator) -> Bools:
        wrong = random.random() < CONFUSING[sample.tags["kind"]]
        return others[random.integers(len(others))].mask() if wrong else sample.mask()

    def _careless(self, sample: Sample, others: Sequence[Sample], random: np.random.Generator) -> Bools:
        if sample.targets and random.random() < OVERLOOKED:
            return np.zeros(sample.size, dtype=bool)
        if not sample.targets and random.random() < IMAGINED:
            sample = others[random.integers(len(others))]
        return np.roll(sample.mask(), random.integers(-SHIFT, SHIFT + 1, 2), axis=(0, 1))


def main() -> None:
    """Reads the arguments and makes everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write")
    out: Path = parser.parse_args().out
    made = out / "scenes"
    subprocess.run(["referent", "scenes", str(made), "--n", str(PICTURES), "--size", "320"], check=True)
    source = Source(str(made / "phrases.jsonl"))
    dataset = source.open("train")
    results = []
    for name in ("confused", "careless"):
        answerer = MadeAnswers(name, dataset, confused=name == "confused")
        result = evaluate(answerer, dataset, save=out / f"{name}.jsonl", weights_sha256="made", source=source)
        results.append(out / f"{name}.json")
        result.save(results[-1])
    draw_differences(differences(open_saved(results)), out / "differences.png")
    print(write_page(read_result(results[0]), str(results[0]), dataset, out / "page"))


if __name__ == "__main__":
    main()
