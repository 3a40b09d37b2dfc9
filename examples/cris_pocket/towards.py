"""The weights of a training with its image encoder moved a part of the way back to the DeepLabV3 that it started from.

    python examples/cris_pocket/towards.py WEIGHTS DEEPLAB.safetensors OUT --share 0.25

Between a tuned network and what it was tuned from lie networks that keep more of what the first knew (Wortsman et al.,
"Robust fine-tuning of zero-shot models", CVPR 2022). What reads the encoder has to be trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from referent import weights
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import from_folded


def main() -> None:
    """Read both, mix, write under the header of the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("deeplab", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, required=True, help="of DeepLabV3, from 0 to 1")
    arguments = parser.parse_args()
    header, tensors = weights.read(arguments.weights)
    published = from_folded(read_foreign(arguments.deeplab))
    for name, value in published.items():
        tensors[f"image_encoder.{name}"] = tensors[f"image_encoder.{name}"].lerp(value, arguments.share)
    weights.write(arguments.out, tensors, header)


if __name__ == "__main__":
    main()
