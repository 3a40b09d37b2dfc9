"""What an ETRIS trains and what its adapter weighs, beside the whole model; nothing is loaded or trained.

python benchmarks/etris_sizes.py [--out benchmarks/results]    # one file a model, etris-sizes-<model>.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

from referent import adapters
from referent.files import atomic_write
from referent.models.etris import ETRIS, ETRISConfig
from referent.training.recipe import load_recipe


def pocket() -> ETRISConfig:
    """etris-pocket, as its recipe has it."""
    return ETRISConfig.model_validate(load_recipe("etris-pocket").model.config)


MODELS: dict[str, Callable[[], ETRISConfig]] = {
    "etris-r50": ETRISConfig.r50,
    "etris-r101": ETRISConfig.r101,
    "etris-vitb16": ETRISConfig.vitb16,
    "etris-vitb16 with the paper's Bridger": ETRISConfig.vitb16_paper,
    "etris-pocket": pocket,
}


def main() -> None:
    """Count, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for name, make in MODELS.items():
        result = {"model": name, **sizes(make())}
        print(json.dumps(result))
        if arguments.out is not None:
            size = name.split()[0].removeprefix("etris-") + ("-paper" if " " in name else "")
            atomic_write(arguments.out / f"etris-sizes-{size}.json", json.dumps(result, indent=1))


def sizes(config: ETRISConfig) -> dict[str, object]:
    """Parameters and float32 bytes of one configuration, faithful and economical."""
    with torch.device("meta"):
        model = ETRIS(config)
        economical = ETRIS(config.model_copy(update={"tuning": "economical"}))
    state = model.state_dict()
    kept = [value for name, value in state.items() if not adapters.can_be_lent(name)]
    bridgers = sum(parameter.numel() for parameter in model.bridgers.parameters())
    encoders = [*model.image_encoder.parameters(), *model.text_encoder.parameters()]
    return {
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()):,}",
        "trained": f"{trained(model):,}",
        "trained_economical": f"{trained(economical):,}",
        "bridgers": f"{bridgers:,}",
        "bridgers_percent": round(100 * bridgers / sum(parameter.numel() for parameter in encoders), 2),
        "whole_mb": round(sum(value.nbytes for value in state.values()) / 1e6, 1),
        "adapter_mb": round(sum(value.nbytes for value in kept) / 1e6, 1),
    }


def trained(model: ETRIS) -> int:
    """Parameters that learn."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


if __name__ == "__main__":
    main()
