"""Tensors of a TorchScript archive, without running anything from it.

OpenAI publishes CLIP as TorchScript archives. `torch.load(weights_only=True)` refuses them, and `torch.jit.load` hands
the file's own code to an interpreter. An archive is a zip with one pickle, `data.pkl`, that describes the tree of
modules and points at raw tensor storages beside it. Only that pickle is read, by an unpickler that knows five harmless
names: modules become plain holders of attributes, tensors are rebuilt from storages of checked size.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from referent.errors import WeightsError

_DTYPES = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Module:
    """Stands for any scripted module: holds attributes, does nothing."""


class _Storage:
    """One storage of the archive: elements of one dtype."""

    def __init__(self, elements: Tensor) -> None:
        self.elements = elements


def _rebuild_tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    if not isinstance(storage, _Storage) or len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
        raise WeightsError("damaged TorchScript archive: a tensor without a storage, size or stride")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if math.prod(size) and last >= storage.elements.numel():
        raise WeightsError("damaged TorchScript archive: a tensor reaches beyond its storage")
    return storage.elements.as_strided(size, stride, offset)


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{folder}data.pkl")))
        self._archive = archive
        self._folder = folder
        self._storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Module
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
            ("collections", "OrderedDict"): OrderedDict,
            ("torch.jit._pickle", "build_intlist"): list,
            ("torch.jit._pickle", "build_tensorlist"): list,
            ("torch.jit._pickle", "build_doublelist"): list,
            ("torch.jit._pickle", "build_boollist"): list,
        }
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in _DTYPES:
            return name
        raise WeightsError(f"unsafe TorchScript archive: it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), _, int(count)) if kind in _DTYPES:
                pass
            case _:
                raise WeightsError(f"damaged TorchScript archive: unknown reference {str(pid)[:80]}")
        if key not in self._storages:
            raw = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            dtype = _DTYPES[kind]
            if len(raw) != count * dtype.itemsize:
                raise WeightsError(f"damaged TorchScript archive: storage {key} has {len(raw)} bytes")
            elements = torch.frombuffer(raw, dtype=dtype) if count else torch.empty(0, dtype=dtype)
            self._storages[key] = _Storage(elements)
        return self._storages[key]


def _collect(module: _Module, prefix: str, into: dict[str, Tensor], depth: int = 0) -> None:
    if depth > 64:
        raise WeightsError("damaged TorchScript archive: modules nested too deep")
    for name, value in vars(module).items():
        if isinstance(value, Tensor):
            into[prefix + name] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", into, depth + 1)


def _folder(archive: zipfile.ZipFile) -> str | None:
    """The archive's top folder with a slash, or None when it is not a TorchScript archive."""
    for name in archive.namelist():
        folder, _, rest = name.partition("/")
        if rest == "constants.pkl" and f"{folder}/data.pkl" in archive.namelist():
            return f"{folder}/"
    return None


def first_line(error: Exception) -> str:
    """What a reader said of a damaged file, on one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def is_torchscript(path: Path) -> bool:
    """Whether `path` is a TorchScript archive (a checkpoint of `torch.save` is a zip too, but not one of these)."""
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return _folder(archive) is not None
    except Exception:  # a damaged zip, which fails in many ways
        return False


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """All tensors of the archive's module tree: dotted name -> CPU tensor of the stored dtype.

    Raises:
        WeightsError: damaged, or its pickle asks for anything but modules and tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            folder = _folder(archive)
            if folder is None:
                raise WeightsError("not a TorchScript archive")
            root = _Unpickler(archive, folder).load()
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:  # zip files and pickles fail in many ways on damaged bytes
        raise WeightsError(f"{path}: damaged TorchScript archive: {first_line(error)}") from error
    if not isinstance(root, _Module):
        raise WeightsError(f"{path}: expected a scripted module, found {type(root).__name__}")
    tensors: dict[str, Tensor] = {}
    _collect(root, "", tensors)
    return tensors
