"""Where and with what an evaluation ran."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def machine(device: torch.device, dtype: torch.dtype) -> dict[str, str | int]:
    """What a speed depends on. The machine's name is nobody's business and stays out."""
    from torch import cuda, get_num_threads

    found: dict[str, str | int] = {
        "system": platform.system(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "threads": get_num_threads(),
        "device": str(device),
        "precision": str(dtype).removeprefix("torch."),
    }
    if device.type == "cuda":
        found["accelerator"] = cuda.get_device_name(device)
    return found


def versions() -> dict[str, str]:
    """Of what a number may depend on."""
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("referent", "torch", "numpy", "pillow", "pycocotools")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
