"""The mean of two trainings' weights, of which the second went on from the first.

    python examples/average.py FIRST SECOND OUT
    python examples/average.py FIRST SECOND OUT --share 0.8    # more of the second

Between them lies a model that keeps more of what the first knew (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022). The header is the second's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from referent import weights


def main() -> None:
    """Reads both, writes their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="of the second, from 0 to 1")
    arguments = parser.parse_args()
    _, before = weights.read(arguments.first)
    header, after = weights.read(arguments.second)
    floats = {name for name, value in after.items() if value.is_floating_point()}
    mean = {name: before[name].lerp(after[name], arguments.share) for name in floats}
    weights.write(arguments.out, after | mean, header)


if __name__ == "__main__":
    main()
