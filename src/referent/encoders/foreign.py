"""Weight files that other people's code wrote, read without running code from them.

* TorchScript archives (OpenAI's `RN50.pt`, `ViT-B-16.pt`), see `torchscript.py`;
* what `torch.save` wrote, read with `weights_only=True`, which admits tensors and plain containers only (and the
  command line that a training kept);
* safetensors.
"""

from __future__ import annotations

import pickle
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from referent.encoders.torchscript import first_line, is_torchscript, read_torchscript
from referent.errors import WeightsError


def read_foreign(path: Path) -> dict[str, Any]:
    """Whatever a weight file holds at its top level, read without running code: safetensors, TorchScript, `torch.save`.

    Raises:
        WeightsError: missing, unreadable, or a pickle with more in it than tensors and plain containers.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: damaged safetensors file: {error}") from error
    if is_torchscript(path):
        return dict(read_torchscript(path))
    try:
        # Trainings of that time keep their command line in the checkpoint: a class with attributes and no code.
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch's own message advises to read the file unsafely.
        asked = re.search(r"GLOBAL (\S+)", str(error))
        named = f" ({asked[1]})" if asked else ""
        raise WeightsError(
            f"{path}: refused: it holds more than tensors and plain containers{named}, and could run code"
        ) from error
    except Exception as error:  # a damaged file fails in as many ways as there are readers inside torch
        raise WeightsError(f"{path}: not a weight file, or damaged: {first_line(error)}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a state dict, found {type(content).__name__}")
    return dict(content)


def state_dict_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The entry `state_dict` or `model` of a training's checkpoint, else the content itself; without the `module.`
    before names that data-parallel training adds."""
    entries = (content.get(name) for name in ("state_dict", "model"))
    names = next((entry for entry in entries if isinstance(entry, Mapping)), content)
    return {str(name).removeprefix("module."): value for name, value in names.items()}
