"""What the pocket CLIP learns from: things in photographs, and pictures of one thing, with their names.

    python examples/clip_pocket/crops.py OUT.jsonl --coco coco/instances.json cats/instances.json --folders caltech101

Every annotation of a COCO file becomes a line {image, box, name, split}, crowds left out. In a folder of folders each
picture is of what its folder is called; every tenth picture is "val", and of every tenth folder all are "held-out":
names that training never sees.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from referent.data.coco import read_coco
from referent.files import atomic_write
from referent.rle import decode
from referent.segmentation import box_of

SMALLEST = 16  # pixels of the shorter side: below, a thing is not to be recognised
EVERY = 10
NO_THINGS = ("BACKGROUND_Google",)


def of_coco(path: Path) -> Iterator[dict[str, Any]]:
    """The things of a COCO file."""
    coco = read_coco(path)
    for image in coco.images.values():
        for one in coco.annotations[image.id]:
            x0, y0, x1, y1 = box_of(decode(one.mask)) or (0, 0, 0, 0)
            if one.crowd or min(x1 - x0, y1 - y0) < SMALLEST:
                continue
            box, name = [x0, y0, x1 - x0, y1 - y0], coco.categories[one.category_id]
            yield {"image": str(image.path.resolve()), "box": box, "name": name, "split": image.split}


def of_folders(root: Path) -> Iterator[dict[str, Any]]:
    """Pictures named by their folder; the thing fills the picture."""
    folders = sorted(folder for folder in root.iterdir() if folder.is_dir() and folder.name not in NO_THINGS)
    for number, folder in enumerate(folders):
        held_out = number % EVERY == EVERY - 1
        for place, picture in enumerate(sorted(folder.glob("*.jpg"))):
            split = "held-out" if held_out else "val" if place % EVERY == EVERY - 1 else "train"
            name = folder.name.replace("_", " ").lower()
            yield {"image": str(picture.resolve()), "box": None, "name": name, "split": split}


def main() -> None:
    """Write one JSON line a thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--coco", type=Path, nargs="*", default=[])
    parser.add_argument("--folders", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    lines = [line for path in options.coco for line in of_coco(path)]
    lines += [line for root in options.folders for line in of_folders(root)]
    atomic_write(options.out, "".join(json.dumps(line) + "\n" for line in lines))
    print(f"{options.out}: {dict(Counter(line['split'] for line in lines))}")


if __name__ == "__main__":
    main()
