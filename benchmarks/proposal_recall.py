"""How many of the things that expressions mean are among the proposals: recall at IoU 0.5 and 0.7 of boxes.

    python benchmarks/proposal_recall.py DATA [--split val] [--system FILE.yaml] [--limit N] [--out FILE]

A grounding system can answer only with a proposal, so this bounds it from above. Every target counts once, however many
phrases mean it. Without a system, proposals are cris-pocket's own masks.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from PIL import Image

from referent.data.loading import open_dataset
from referent.data.sample import Dataset
from referent.engine import device_of
from referent.evaluation import environment
from referent.grounding.config import read_config
from referent.grounding.load import open_proposals
from referent.grounding.proposals.base import ProposalSource
from referent.grounding.proposals.pocket import PocketProposals
from referent.grounding.proposals.sam import Sam
from referent.models.reclip.geometry import Boxes, iou
from referent.rle import decode
from referent.segmentation import box_of

THRESHOLDS = (0.5, 0.7)


def targets_of(dataset: Dataset) -> dict[Path, Boxes]:
    """For every picture the boxes of all that its phrases mean, each once."""
    masks: dict[Path, dict[str, Any]] = {}
    for sample in dataset.samples:
        for target in sample.targets:
            masks.setdefault(sample.picture, {})[json.dumps(target)] = target
    boxes = {}
    for picture, rles in masks.items():
        edges = np.array([box_of(decode(rle)) for rle in rles.values()], dtype=np.float64)
        boxes[picture] = np.concatenate([edges[:, :2], edges[:, 2:] - edges[:, :2]], axis=1)
    return boxes


def measure(source: ProposalSource, dataset: Dataset, limit: int | None) -> dict[str, Any]:
    """Recall of one data set, proposals and processor seconds a picture."""
    best: list[float] = []
    counts: list[int] = []
    began = process_time()
    for picture, truth in list(targets_of(dataset).items())[:limit]:
        with Image.open(picture) as image:
            proposals = source.propose(image.convert("RGB"), picture)
        best += iou(truth, proposals.boxes).max(axis=1).tolist()
        counts.append(len(proposals))
    reached = {f"IoU {threshold:.0%}": float(np.mean(np.array(best) >= threshold)) for threshold in THRESHOLDS}
    return {
        "pictures": len(counts),
        "targets": len(best),
        "proposals_a_picture": round(float(np.mean(counts)), 2),
        "recall_percent": {name: round(100 * share, 1) for name, share in reached.items()},
        "processor_seconds_a_picture": round((process_time() - began) / len(counts), 2),
    }


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--system", type=Path)
    parser.add_argument("--limit", type=int, help="Only the first so many pictures of the data set.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    source: ProposalSource = PocketProposals()
    if options.system:
        config, device = read_config(options.system), device_of(None)
        source = open_proposals(config, Sam(config.sam, device) if config.sam else None, device)
    dataset = open_dataset(options.data, options.split)
    result: dict[str, Any] = {
        "proposals": source.name,
        "dataset": dataset.name,
        "split": options.split,
        **measure(source, dataset, options.limit),
        "versions": environment.versions(),
        "command": shlex.join(["python", *sys.argv]),
    }
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
