"""The mean of two trainings' weights, of which the second went on from the first.

    python examples/unirefpp_pocket/average.py FIRST SECOND OUT

Between them lies a model that keeps more of what the first knew (Wortsman et al., "Robust fine-tuning of zero-shot
models", CVPR 2022). The header is the second's.
"""

import sys
from pathlib import Path

from referent import weights


def main(first: str, second: str, out: str) -> None:
    """Reads both, writes their mean."""
    _, before = weights.read(Path(first))
    header, after = weights.read(Path(second))
    floats = {name for name, value in after.items() if value.is_floating_point()}
    weights.write(Path(out), after | {name: after[name].lerp(before[name], 0.5) for name in floats}, header)


if __name__ == "__main__":
    main(*sys.argv[1:])
