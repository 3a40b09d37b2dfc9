"""What a training step of an ETRIS costs: tuned as released ("faithful"), "economical", and all of it ("full").

python benchmarks/training_economy.py [--model r50] [--batch 8] [--threads 2] [--steps 3] [--out benchmarks/results]

A step is forward, backward and Adam as `referent train` does them, in float32 on random pictures of 416 x 416; model
"pocket" is that of the recipe etris-pocket. Every
tuning has a process of its own, whose peak of resident memory after the first step is told; beside it stands what
autograd keeps of one forward pass. With one thread its processor time is counted, with several the wall clock. Files
are float32: an adapter, or the whole model where the encoders have changed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from etris_sizes import pocket
from etris_speed import MODELS as PUBLISHED
from speed import SIDE, batch_of, peak, processor, reset_peak, seconds
from torch import Tensor, nn

from referent import adapters
from referent.files import atomic_write
from referent.models.base import Batch
from referent.models.etris import ETRIS
from referent.training.objective import TOTAL, Objective
from referent.training.optimiser import build_optimiser, parameter_groups, training_mode
from referent.training.recipe import Optimiser

TUNINGS = ("faithful", "economical", "full")
MODELS = {**PUBLISHED, "pocket": pocket}


@contextmanager
def kept_for_backward(model: nn.Module) -> Iterator[dict[int, int]]:
    """Address -> bytes of everything that autograd keeps inside, the model's own tensors left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def measure(name: str, tuning: str, count: int, steps: int) -> dict[str, Any]:
    """Everything about one tuning of one model."""
    torch.manual_seed(0)
    model = ETRIS(MODELS[name]().model_copy(update={"tuning": tuning}))
    settings = Optimiser(kind="adam", lr=1e-4)
    optimiser = build_optimiser(parameter_groups(model, settings), settings)
    training_mode(model)
    objective = Objective(model, (), {"text_to_pixel": 1.0}, bf16=False, seed=0)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(count, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    target = torch.rand(count, 1, SIDE, SIDE).round()
    batch = Batch.paired(image, batch_of(count).tokens, target)

    def step() -> None:
        objective(batch, 0, 0)[TOTAL].backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step()  # Adam's moments are made here
    reset_peak()
    times = [seconds(step) for _ in range(steps)]
    memory = peak()
    with kept_for_backward(model) as kept:
        loss = objective(batch, 0, 0)[TOTAL]
    del loss
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    stored = [
        value.nbytes for key, value in model.state_dict().items() if tuning == "full" or not adapters.can_be_lent(key)
    ]
    return {
        "model": f"etris-{name}", "tuning": tuning, "batch": count, "steps": steps, "side": SIDE,
        "threads": torch.get_num_threads(), "machine": processor(), "torch": torch.__version__,
        "trained": f"{trained:,}", "trained_millions": round(trained / 1e6, 1), "peak_memory_mib": round(memory),
        "kept_for_backward_mib": round(sum(kept.values()) / 2**20), "step_s": round(statistics.median(times), 2),
        "file_mb": round(sum(stored) / 1e6, 1),
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write one result a tuning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="r50")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--note", default="", help="written into the results: what else the machine was doing")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tuning", choices=TUNINGS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tuning:
        torch.set_num_threads(options.threads)
        sys.stdout.write(json.dumps(measure(options.model, options.tuning, options.batch, options.steps)))
        return
    for tuning in TUNINGS:
        given = ["--model", options.model, "--batch", options.batch, "--threads", options.threads]
        command = [sys.executable, __file__, *given, "--steps", options.steps, "--tuning", tuning]
        ended = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
        result = {**json.loads(ended.stdout), "note": options.note}
        print(json.dumps(result))
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            path = options.out / f"training-economy-{options.model}-{tuning}.json"
            atomic_write(path, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
