"""Trainings in processes of their own: killed, interrupted, and several at once."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_processes import finish, start, wait_for_step

# Dropout, batch statistics, augmentation, averaging and worker processes: everything that could be forgotten.
CHANGES = {
    "model__config": {"dropout": 0.2, "batch_norm": True},
    "data__augment": {},
    "ema": 0.9,
    "steps": 8,
    "save_every": 2,
    "validate_every": 4,
    "workers": 1,
}

pytestmark = pytest.mark.slow


def test_killed_anywhere_and_resumed_the_weights_are_bit_equal(data: Path, tmp_path: Path) -> None:
    whole = start(data, tmp_path / "whole", changes=CHANGES)
    code, _, err = finish(whole)
    assert code == 0, err
    torn = tmp_path / "torn"
    deaths = ("moving 3", "saving 4", "validating 4", "saving 8")
    for number, death in enumerate(deaths):
        resume = any(torn.glob("step-*.pt"))
        code, _, err = finish(start(data, torn, changes=CHANGES, die=death, resume=resume))
        assert code == -signal.SIGKILL, (number, err)
    assert any(torn.glob(".step-*.partial"))
    code, _, err = finish(start(data, torn, changes={**CHANGES, "workers": 0}, resume=True))
    assert code == 0, err
    for name in ("final.safetensors", "best.safetensors"):
        expected, found = (load_file(tmp_path / which / name) for which in ("whole", "torn"))
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    assert (torn / "progress.json").read_text() == (tmp_path / "whole" / "progress.json").read_text()
    assert not any(torn.glob(".step-*.partial"))


def test_a_request_to_end_saves_and_the_resumed_weights_are_bit_equal(data: Path, tmp_path: Path) -> None:
    changes = {
        **CHANGES,
        "steps": 150,
        "save_every": 150,
        "validate_every": 150,
        "data__val": [],
        "data__augment": None,
    }
    process = start(data, tmp_path / "stopped", changes=changes)
    wait_for_step(tmp_path / "stopped", 3)
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 0, err
    outcome = json.loads(out)
    assert outcome["interrupted"]
    assert 3 <= outcome["step"] < 150
    assert (tmp_path / "stopped" / f"step-{outcome['step']:08d}.pt").is_file()
    for name, resume in (("stopped", True), ("whole", False)):
        code, _, err = finish(start(data, tmp_path / name, changes=changes, resume=resume))
        assert code == 0, err
    expected, found = (load_file(tmp_path / name / "final.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_two_processes_train_the_weights_of_one(data: Path, tmp_path: Path) -> None:
    # Batch 4 on one process against 2 + 2 on two, gradients averaged by gloo: the same sums in another order.
    changes = {"ema": 0.9, "optimiser__clip": 0.5, "accumulate": 1}
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    for name, command in (("one", ()), ("two", launcher)):
        code, _, err = finish(start(data, tmp_path / name, *command, changes=changes))
        assert code == 0, err
    expected, found = (load_file(tmp_path / name / "final.safetensors") for name in ("one", "two"))
    for key, value in expected.items():
        assert torch.allclose(value, found[key], rtol=0, atol=1e-6), key
    lines = [(tmp_path / name / "log.jsonl").read_text().count('"event": "step"') for name in ("one", "two")]
    assert lines == [6, 6]
