"""Which score means "found": the one that tells present from absent phrases best, written into a weight file.

    python examples/threshold.py WEIGHTS OUT PHRASES.json [PHRASES.json ...]

Phrases of split "train", so that nothing is chosen on what is measured. Best is the largest mean of both shares of
right decisions.
"""

import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

import referent as rf
from referent import weights
from referent.data.loading import open_dataset
from referent.segmenter import Segmenter

PICTURES = 60
"""Of each file, spread evenly."""


def scores(model: Segmenter, path: str) -> list[tuple[float, bool]]:
    """Score, and whether something is there, for the phrases of some pictures."""
    samples = open_dataset(Path(path), "train").samples
    pictures = list(dict.fromkeys(sample.picture for sample in samples))
    chosen = set(islice(pictures, 0, None, max(1, len(pictures) // PICTURES)))
    asked = [sample for sample in samples if sample.picture in chosen]
    return [(answer.score, bool(sample.targets)) for sample, answer in model.predict(asked)]


def main(file: str, out: str, *paths: str) -> None:
    """Chooses and writes."""
    model = rf.load(file)
    assert isinstance(model, Segmenter)
    found = np.array([pair for path in paths for pair in scores(model, path)])
    score, there = found[:, 0], found[:, 1].astype(bool)
    candidates = np.unique(score)
    right = [((score[there] >= c).mean() + (score[~there] < c).mean()) / 2 for c in candidates]
    best = int(np.argmax(right))
    threshold = round(float(candidates[best]), 3)
    print(f"{len(score)} phrases, {(~there).sum()} absent: {right[best]:.3f} right at {threshold}")
    header, tensors = weights.read(Path(file))
    weights.write(Path(out), tensors, replace(header, extra={**header.extra, "presence_threshold": threshold}))


if __name__ == "__main__":
    main(*sys.argv[1:])
