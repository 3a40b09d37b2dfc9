"""How long a data set of RefCOCO's size takes to open: refs, objects and sentences as many, in the true format.

The content is made up; its sizes are RefCOCO's: 19,994 pictures, 196,771 objects, 50,000 refs, 142,210 sentences.
Pictures are empty files, as opening a data set does not read them. `seconds` is what a clock on the wall says,
`cpu_seconds` what the process had of a processor: where they differ, the machine was busy with something else. Linux.

    python benchmarks/published_loading.py benchmarks/results/published-loading.json
"""

from __future__ import annotations

import json
import pickle
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PICTURES, OBJECTS, REFS, SENTENCES = 19_994, 196_771, 50_000, 142_210
SPLITS = {"train": 42_404, "val": 3_811, "testA": 1_975, "testB": 1_810}
CORNERS = 25
RUNS = 3
WORDS = "man woman left right red blue shirt the in of on with black white cat dog front back second chair".split()

# A fresh process each time: nothing cached, and its peak memory is its own.
MEASURED = """
import json, sys, time
from pathlib import Path
from referent.data.loading import open_dataset
began, worked = time.perf_counter(), time.process_time()
dataset = open_dataset(Path(sys.argv[1]))
seconds, worked = time.perf_counter() - began, time.process_time() - worked
# Linux's own figure: getrusage's would count the parent's memory too.
peak = next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
found = {"seconds": round(seconds, 2), "cpu_seconds": round(worked, 2), "peak_mb": peak}
print(json.dumps({"sentences": len(dataset.samples), **found}))
"""


def write(root: Path, seed: int = 0) -> Path:
    """`root/refcoco` and `root/train2014`."""
    draw = random.Random(seed)
    folder, pictures = root / "refcoco", root / "train2014"
    folder.mkdir()
    pictures.mkdir()
    images = [{"id": 1 + n, "file_name": f"{n:012}.jpg", "width": 640, "height": 480} for n in range(PICTURES)]
    for image in images:
        (pictures / str(image["file_name"])).touch()
    annotations = [object_(draw, number) for number in range(OBJECTS)]
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, 81)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "refs(unc).p").write_bytes(pickle.dumps(refs(draw), protocol=2))
    return folder


def object_(draw: random.Random, number: int) -> dict[str, Any]:
    left, top = draw.uniform(0, 500), draw.uniform(0, 400)
    corners = [round(start + draw.uniform(0, 80), 2) for _ in range(CORNERS) for start in (left, top)]
    return {
        "id": number,
        "image_id": 1 + number % PICTURES,
        "category_id": 1 + number % 80,
        "segmentation": [corners],
        "area": 3200.5,
        "bbox": [left, top, 80.0, 80.0],
        "iscrowd": 0,
    }


def refs(draw: random.Random) -> list[dict[str, Any]]:
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    made, sent_id = [], 0
    for number, split in enumerate(splits):
        sentences = []
        for _ in range(3 if number < SENTENCES - 2 * REFS else 2):
            tokens = draw.choices(WORDS, k=draw.randint(1, 6))
            text = " ".join(tokens)
            sentences.append({"tokens": tokens, "raw": text, "sent_id": sent_id, "sent": text})
            sent_id += 1
        made.append(
            {
                "ref_id": number,
                "ann_id": number,
                "image_id": 1 + number % PICTURES,
                "category_id": 1 + number % 80,
                "file_name": f"{number:012}_{number}.jpg",
                "split": split,
                "sent_ids": [sentence["sent_id"] for sentence in sentences],
                "sentences": sentences,
            }
        )
    return made


def main(out: Path) -> None:
    """Writes the result and prints it."""
    import torch

    from referent.evaluation import environment

    with tempfile.TemporaryDirectory() as folder:
        data = write(Path(folder))
        command = [sys.executable, "-c", MEASURED, str(data)]
        runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(RUNS)]
        megabytes = {file.name: file.stat().st_size >> 20 for file in sorted(data.iterdir())}
    result = {
        "split": "all splits",
        **min(runs, key=lambda run: run["seconds"]),
        "runs": runs,
        "megabytes": megabytes,
        "machine": environment.machine(torch.device("cpu"), torch.float32),
        "versions": environment.versions(),
        "command": shlex.join(["python", *sys.argv]),
    }
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(runs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
