"""Zero-shot top-1 of the pocket CLIP on what train.py left out, as a result file.

    python examples/clip_pocket/measure.py CROPS.jsonl VECTORS.safetensors --split held-out --out RESULT.json

CROPS and VECTORS are those of train.py. "val" are things of names that training saw, "held-out" pictures of names of
which it saw none. A thing is right when its own name is nearest, once among the names of its split, once among those
of both.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from train import Crops, right_names

from referent.encoders.clip_pocket import FAMILY, CLIPPocket, open_clip
from referent.evaluation import environment
from referent.files import atomic_write
from referent.training.text_vectors import TextVectors

RESAMPLES = 2000
SPLITS = ("val", "held-out")


def score(right: list[bool]) -> dict[str, Any]:
    """Percent right with a 95 % bootstrap interval over things."""
    drawn = np.random.default_rng(0).choice(np.array(right, dtype=float), (RESAMPLES, len(right)))
    low, high = np.percentile(100 * drawn.mean(1), [2.5, 97.5])
    return {
        "top1": round(100 * float(np.mean(right)), 1),
        "interval": [round(float(low), 1), round(float(high), 1)],
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="val")
    parser.add_argument("--clip", default=FAMILY, help="weight file; the one in the package when not given")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = open_clip(options.clip)
    if not isinstance(model, CLIPPocket):
        parser.error(f"--clip: expected a pocket CLIP, found {options.clip}")
    objective = TextVectors(str(options.vectors), 1, model.context)
    began = perf_counter()
    splits = {split: Crops(options.crops, split, objective) for split in SPLITS}
    crops = splits[options.split]
    choices = {"own": crops.names, "both": set().union(*(each.names for each in splits.values()))}
    scores = {
        choice: {"names": len(names), **score(right_names(model, crops, sorted(names)))}
        for choice, names in choices.items()
    }
    print(scores)
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "model": model.name,
        "weights_sha256": model.digest(),
        "split": options.split,
        "things": len(crops.lines),
        "among": scores,
        "seconds": round(perf_counter() - began, 1),
        "machine": environment.machine(torch.device("cpu"), torch.float32),
        "versions": environment.versions(),
    }
    atomic_write(options.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
