"""unirefpp-pocket's weights with DeepLabV3's head beside the image encoder's last map, which nothing reads as yet.

    python examples/unirefpp_pocket/beside.py WEIGHTS DEEPLAB.safetensors OUT

Weights of the input projections for the head's channels are zero, so that OUT answers as WEIGHTS do.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from referent import weights
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config, from_folded
from referent.models.unirefpp.config import UniRefConfig


def main() -> None:
    """Read both, write the first with the head of the second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("deeplab", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    header, tensors = weights.read(arguments.weights)
    before = UniRefConfig.model_validate(header.config)
    after = before.model_copy(update={"image": MobileNetV2Config(deeplab="beside")})
    more = MobileNetV2(MobileNetV2Config(deeplab="beside")).channels[-1] - MobileNetV2(before.image).channels[-1]

    def widened(projection: Tensor) -> Tensor:
        return F.pad(projection, (0, 0, 0, 0, 0, more))

    tensors |= {name: widened(tensors[name]) for name in ("inputs.2.0.weight", "inputs.3.0.weight")}
    tensors |= {
        f"image_encoder.{name}": value
        for name, value in from_folded(read_foreign(arguments.deeplab)).items()
        if name.startswith("finish.")
    }
    weights.write(arguments.out, tensors, replace(header, config=after.model_dump(mode="json")))


if __name__ == "__main__":
    main()
