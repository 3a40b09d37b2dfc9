"""Zero-shot top-1 of the pocket CLIP on what train.py left out, as a result file.

    python examples/clip_pocket/measure.py CROPS.jsonl VECTORS.safetensors --split held-out --out RESULT.json

CROPS and VECTORS are those of train.py. A thing is right when its own name is nearest among all names of its split:
"val" are things of names that training saw, "held-out" pictures of names of which it saw none.
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


def score(right: list[bool], names: int) -> dict[str, Any]:
    """Percent right with a 95 % bootstrap interval over things."""
    drawn = np.random.default_rng(0).choice(np.array(right, dtype=float), (RESAMPLES, len(right)))
    low, high = np.percentile(100 * drawn.mean(1), [2.5, 97.5])
    return {
        "things": len(right),
        "names": names,
        "top1": round(100 * float(np.mean(right)), 1),
        "interval": [round(float(low), 1), round(float(high), 1)],
        "chance": round(100 / names, 1),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crops", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--split", choices=("val", "held-out"), default="val")
    parser.add_argument("--clip", default=FAMILY, help="weight file; the one in the package when not given")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = open_clip(options.clip)
    if not isinstance(model, CLIPPocket):
        parser.error(f"--clip: expected a pocket CLIP, found {options.clip}")
    objective = TextVectors(str(options.vectors), 1, model.context)
    began = perf_counter()
    crops = Crops(options.crops, options.split, objective)
    names = len({line["name"] for line in crops.lines})
    scores = score(right_names(model, crops), names)
    print(scores)
    content = {
        "command": shlex.join(["python", *sys.argv]),
        "model": model.name,
        "weights_sha256": model.digest(),
        "split": options.split,
        **scores,
        "seconds": round(perf_counter() - began, 1),
        "machine": environment.machine(torch.device("cpu"), torch.float32),
        "versions": environment.versions(),
    }
    atomic_write(options.out, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
