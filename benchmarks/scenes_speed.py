"""Time of one made picture, part by part, on one core.

    python benchmarks/scenes_speed.py [--pictures 100] [--size 256] [--out benchmarks/results/scenes-speed.json]

Seconds of the processor, not of the clock: nothing here runs on more than one core or waits for anything.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import torch

from referent.data.scenes.meanings import Meanings
from referent.data.scenes.sampling import sample_scene
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import trace
from referent.data.scenes.wording import say
from referent.evaluation.environment import machine, versions
from referent.files import atomic_write


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    size = arguments.size, arguments.size
    spent: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = time.process_time()
        yield
        spent[part].append(1000 * (time.process_time() - start))

    torch.set_num_threads(1)
    paint(trace(sample_scene(Random(0), size), size))
    things = []
    for index in range(arguments.pictures):
        random = Random(f"speed {index}")
        with timed("scene"):
            scene = sample_scene(random, size)
        with timed("masks"):
            seen = trace(scene, size)
        with timed("picture"):
            paint(seen)
        with timed("phrases"):
            say(Meanings(scene), random)
        things.append(len(scene.things))
    render = np.add(spent["masks"], spent["picture"])
    result = {
        "size": arguments.size,
        "pictures": arguments.pictures,
        "things": {"fewest": min(things), "mean": round(float(np.mean(things)), 1), "most": max(things)},
        "milliseconds": {part: round(float(np.mean(values)), 1) for part, values in spent.items()},
        "render": {
            "mean": round(float(render.mean()), 1),
            "median": round(float(np.median(render)), 1),
            "slowest": round(float(render.max()), 1),
        },
        "machine": machine(torch.device("cpu"), torch.float32),
        "versions": versions(),
        "command": f"python benchmarks/scenes_speed.py --pictures {arguments.pictures} --size {arguments.size}",
    }
    print(json.dumps(result, indent=1))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(arguments.out, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
