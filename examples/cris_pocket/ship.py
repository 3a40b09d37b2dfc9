"""The weights of a training in fp16, to answer at another size than they were trained at.

    python examples/cris_pocket/ship.py WEIGHTS OUT --size 512
    python examples/cris_pocket/ship.py WEIGHTS OUT --size 384 --longest 576 --frames 256 384

Small things are found better in a larger picture, up to a point: the model card says how the size was chosen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from referent import weights
from referent.preparation import Preparation


def main() -> None:
    """Read, change the header, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--longest", type=int)
    parser.add_argument("--frames", type=int, nargs=2, metavar=("SIZE", "LONGEST"))
    arguments = parser.parse_args()
    header, tensors = weights.read(arguments.weights)
    sides = {name: value for name in ("size", "longest", "frames") if (value := getattr(arguments, name)) is not None}
    header = replace(header, preparation=Preparation.model_validate({**header.preparation, **sides}).model_dump())
    half = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    weights.write(arguments.out, half, header)
    print(f"{arguments.out}: {header.name}, {arguments.size} px, sha256 {weights.sha256(arguments.out)}")


if __name__ == "__main__":
    main()
