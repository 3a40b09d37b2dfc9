"""A tiny family, data on disk and a quiet console for the tests of training."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from training_tiny import Run, evaluate, make_data, recipe, register

from referent import zoo
from referent.training.loop import Outcome, train
from referent.training.recipe import Recipe


@pytest.fixture(autouse=True)
def on_one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bit-equal sums need a fixed number of threads, and a CPU where there is a GPU."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "FAMILIES", zoo.FAMILIES)
    register()


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=200)


@pytest.fixture
def run(family: None, data: Path, tmp_path: Path, console: Console) -> Run:
    """`run("name", resume=..., key__sub=...)` trains a tiny recipe into `tmp_path / "name"`."""

    def run(output: str, resume: bool = False, **changes: Any) -> Outcome:
        settings = Recipe.model_validate(recipe(data, tmp_path / output, **changes))
        return train(settings, resume=resume, evaluate=evaluate, console=console)

    return run
