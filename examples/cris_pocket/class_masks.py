"""What DeepLabV3's class masks score where cris-pocket is asked with phrases: the yardstick for its tables.

    python examples/cris_pocket/class_masks.py DEEPLAB.safetensors DATA OUT

DATA holds `coco` and `cats`. DeepLabV3 knows PASCAL VOC's 20 classes and no phrases: every class is compared with all
of its instances together (`names`), and every instance of a hundredth of the picture or more with the mask of its class
(`things`). OUT gets one result a collection, of the validation photographs.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pseudo_labels import VOC, probabilities
from rich.progress import track

from referent.data.coco import read_coco
from referent.encoders.deeplab import DeepLab
from referent.rle import decode

SMALLEST = 0.01

Mask = NDArray[np.bool_]


def iou(answer: Mask, truth: Mask) -> float:
    """Of two masks (h, w); the truth is not empty."""
    return float((answer & truth).sum() / (answer | truth).sum())


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("deeplab", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    teacher = DeepLab(arguments.deeplab)
    for collection in ("coco", "cats"):
        coco = read_coco(arguments.data / collection / "instances.json")
        names, things, pictures = [], [], 0
        for image in track([image for image in coco.images.values() if image.split == "val"], description=collection):
            known: dict[str, list[Mask]] = defaultdict(list)
            for annotation in coco.annotations[image.id]:
                if (name := coco.categories[annotation.category_id]) in VOC:
                    known[name].append(decode(annotation.mask))
            if not known:
                continue
            pictures += 1
            classes = probabilities(teacher, Image.open(image.path).convert("RGB")).argmax(0).numpy()
            for name, instances in known.items():
                answer = classes == VOC.index(name)
                names.append(iou(answer, np.any(instances, axis=0)))
                things += [iou(answer, instance) for instance in instances if instance.mean() >= SMALLEST]
        result = {
            "model": "DeepLabV3, class masks", "dataset": f"{collection}/instances.json", "pictures": pictures,
            "names": {"n": len(names), "mIoU": round(100 * float(np.mean(names)), 1)},
            "things": {"n": len(things), "mIoU": round(100 * float(np.mean(things)), 1)},
            "command": f"python examples/cris_pocket/class_masks.py DEEPLAB DATA {arguments.out}",
        }  # fmt: skip
        (arguments.out / f"class-masks-{collection}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result))


if __name__ == "__main__":
    main()
