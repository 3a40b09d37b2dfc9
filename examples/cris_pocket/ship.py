"""The weights of a training in fp16, to answer at another size than they were trained at.

    python examples/cris_pocket/ship.py WEIGHTS OUT --size 512

Small things are found better in a larger picture, up to a point: the model card says how the size was chosen.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from referent import weights


def main() -> None:
    """Read, change the header, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, required=True)
    arguments = parser.parse_args()
    header, tensors = weights.read(arguments.weights)
    header = replace(header, preparation={**header.preparation, "size": arguments.size})
    half = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    weights.write(arguments.out, half, header)
    print(f"{arguments.out}: {header.name}, {arguments.size} px, sha256 {weights.sha256(arguments.out)}")


if __name__ == "__main__":
    main()
