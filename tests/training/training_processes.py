"""Starting, watching and ending trainings in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def start(data: Path, output: Path, *launcher: str, **order: Any) -> subprocess.Popen[str]:
    told = json.dumps({"data": str(data), "output": str(output), **order})
    command = [*(launcher or (sys.executable,)), str(HERE / "run_training.py"), told]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=240)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def wait_for_step(output: Path, step: int) -> None:
    for _ in range(2400):
        log = output / "log.jsonl"
        if log.is_file() and f'"event": "step", "step": {step},' in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step} in {output}")
