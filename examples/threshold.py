"""Which score means "found", and which probability a pixel of the mask, written into a weight file.

    python examples/threshold.py WEIGHTS OUT PHRASES.json [PHRASES.json ...] [--mask]

Phrases of split "train", so that nothing is chosen on what is measured. The best score tells present from absent
phrases best: by the largest mean of both shares of right decisions. With `--mask` the best probability gives present
phrases the largest mean IoU.
"""

import argparse
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import referent as rf
from referent import weights
from referent.data.loading import open_dataset
from referent.segmenter import Segmenter

PICTURES = 60
"""Of each file, spread evenly."""

PROBABILITIES = np.arange(0.2, 0.55, 0.05)


@dataclass(frozen=True)
class Asked:
    """One phrase: its score, whether something is there, and the IoU at each of `PROBABILITIES`."""

    score: float
    there: bool
    ious: NDArray[np.float64]


def ask(model: Segmenter, path: Path) -> list[Asked]:
    """The phrases of some pictures."""
    samples = open_dataset(path, "train").samples
    pictures = list(dict.fromkeys(sample.picture for sample in samples))
    chosen = set(islice(pictures, 0, None, max(1, len(pictures) // PICTURES)))
    asked = [sample for sample in samples if sample.picture in chosen]
    found = []
    for sample, answer in model.predict(asked):
        target = sample.mask()
        masks = [answer.probability > probability for probability in PROBABILITIES]
        ious = np.array([(mask & target).sum() / max((mask | target).sum(), 1) for mask in masks])
        found.append(Asked(answer.score, bool(sample.targets), ious))
    return found


def main() -> None:
    """Chooses and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("phrases", type=Path, nargs="+")
    parser.add_argument("--mask", action="store_true", help="choose the probability of a mask's pixels too")
    arguments = parser.parse_args()
    model = rf.load(str(arguments.weights))
    assert isinstance(model, Segmenter)
    answers = [answer for path in arguments.phrases for answer in ask(model, path)]
    score, there = np.array([answer.score for answer in answers]), np.array([answer.there for answer in answers])
    candidates = np.unique(score)
    right = [((score[there] >= c).mean() + (score[~there] < c).mean()) / 2 for c in candidates]
    best = int(np.argmax(right))
    threshold = round(float(candidates[best]), 3)
    print(f"{len(score)} phrases, {(~there).sum()} absent: {right[best]:.3f} right at {threshold}")
    header, tensors = weights.read(arguments.weights)
    header = replace(header, extra={**header.extra, "presence_threshold": threshold})
    if arguments.mask:
        means = np.mean([answer.ious for answer in answers if answer.there], axis=0)
        print("mean IoU", ", ".join(f"{p:.2f}: {mean:.4f}" for p, mean in zip(PROBABILITIES, means, strict=True)))
        probability = round(float(PROBABILITIES[means.argmax()]), 2)
        header = replace(header, preparation={**header.preparation, "threshold": probability})
    weights.write(arguments.out, tensors, header)


if __name__ == "__main__":
    main()
