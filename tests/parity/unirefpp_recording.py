"""Recorded outputs of the official UniRef++, and our model with the weights they were made with."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from referent.models.unirefpp import UniRef
from referent.models.unirefpp.official import config_of, from_official

HERE = Path(__file__).parent
# Recorded noise between machines is a tenth of these.
SHARE, MASK = 1e-4, 5e-3


@cache
def recorded(file: str) -> tuple[Any, dict[str, Any]]:
    arrays = np.load(HERE / "unirefpp" / f"unirefpp_{file}.npz")
    return arrays, json.loads(str(arrays["meta"]))


@cache
def shapes(name: str) -> dict[str, list[int]]:
    content: dict[str, list[int]] = json.loads((HERE / "keys" / f"{name}.json").read_text())
    return content


def model_of(official: dict[str, Tensor]) -> UniRef:
    with torch.device("meta"):
        model = UniRef(config_of(official))
    model.load_state_dict(from_official(official), assign=True)
    return model.eval()
