"""Time of cris-pocket as a user meets it: a decoded photograph and phrases in, segmentations at full size out.

python benchmarks/pocket_speed.py [--threads 2] [--dtype fp32] [--out benchmarks/results/pocket-speed-fp32.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

import referent
from referent.files import atomic_write

PHRASES = (
    *("cat", "the dog", "left eye", "a red bus", "the biggest ear", "nose", "second cat from the left", "paw"),
    *("the person in blue", "all the whiskers", "green bottle", "the chair on the right", "mouth", "a white car"),
    *("the top left cup", "sofa"),
)
COUNTS = (1, 2, 4, 8, 16)
SIDE = 448  # longer side of the photograph, as in the evaluation sets


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="cris-pocket")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = referent.Segmenter.from_pretrained(arguments.model, dtype=arguments.dtype)
    model = type(model)(model.model, model.preparation, model.name, dtype=model.engine.dtype, cache_bytes=0)
    picture = Image.fromarray(data.chelsea())
    picture.thumbnail((SIDE, SIDE))
    pixels = np.asarray(picture)

    def timed(count: int) -> float:
        start = time.perf_counter()
        model.segment(pixels, list(PHRASES[:count]))
        return 1000 * (time.perf_counter() - start)

    # Interleaved, so that a slow minute of the machine does not fall on one count alone.
    for count in COUNTS:
        timed(count)
    runs = [{count: timed(count) for count in COUNTS} for _ in range(arguments.repeats)]
    milliseconds = {str(count): round(statistics.median(run[count] for run in runs), 1) for count in COUNTS}
    result = {
        "model": model.name,
        "size": model.preparation.size,
        "picture": f"{picture.width} x {picture.height}",
        "dtype": arguments.dtype,
        "threads": arguments.threads,
        "milliseconds": milliseconds,
        "further_phrase": round((milliseconds["16"] - milliseconds["1"]) / 15, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "repeats": arguments.repeats,
        "machine": platform.processor() or platform.machine(),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "command": f"python benchmarks/pocket_speed.py --threads {arguments.threads} --dtype {arguments.dtype}",
    }
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
