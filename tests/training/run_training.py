"""A process of its own for the tests that kill one: trains a tiny recipe, and dies where it is told to.

python run_training.py '{"data": ..., "output": ..., "changes": {...}, "resume": true, "die": "saving 4"}'
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from training_tiny import evaluate, recipe, register

from referent.training import loop
from referent.training.recipe import Recipe


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange_death(moment: str, step: int) -> None:
    """At the given step: after the gradients, in the middle of writing the checkpoint, or in the validation."""
    training: Any = loop._Training
    if moment == "saving":
        save = torch.save

        def half(state: dict[str, Any], path: Path) -> None:
            save(state, path)
            if state["step"] == step:
                os.truncate(path, 1000)
                die()

        torch.save = half
        return
    name = {"moving": "_agree", "validating": "_validate"}[moment]
    original = getattr(training, name)

    def deadly(self: Any, at: int) -> Any:
        if at == step:
            die()
        return original(self, at)

    setattr(training, name, deadly)


def main() -> None:
    order = json.loads(sys.argv[1])
    register()
    if order.get("die"):
        moment, step = order["die"].split()
        arrange_death(moment, int(step))
    settings = Recipe.model_validate(recipe(Path(order["data"]), Path(order["output"]), **order.get("changes", {})))
    console = Console(file=sys.stderr)
    outcome = loop.train(settings, resume=order.get("resume", False), evaluate=evaluate, console=console)
    print(json.dumps({"step": outcome.step, "interrupted": outcome.interrupted}))


if __name__ == "__main__":
    main()
