"""referent's weight files: safetensors whose metadata says which model they are, so that one file is enough to load.

The metadata holds one entry, `referent`: JSON of `Header`. Nothing here can run code from a file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from referent.errors import NAMES_SHOWN, WeightsError, listed
from referent.files import atomic_path

FORMAT = 1
KEY = "referent"


@dataclass(frozen=True)
class Header:
    """What a weight file says of itself.

    Attributes:
        name: the model's own name ("cris-pocket"), printed in answers and result files.
        family: the published system, a key of `zoo.FAMILIES` ("cris").
        config: the family's configuration, as JSON.
        preparation: how pictures and phrases are prepared, `Preparation` as JSON.
        extra: anything else worth keeping with the weights: training step, recipe, `presence_threshold`.
        format: version of this layout.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    preparation: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def write(path: Path, tensors: Mapping[str, Tensor], header: Header) -> None:
    """`tensors` and `header` to a .safetensors file at `path`, all of it or nothing.

    Raises:
        OSError: the folder is missing, not writable or full; an earlier file at `path` is then untouched.
    """
    write_tensors(path, tensors, {KEY: json.dumps(asdict(header))})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """`tensors` to a .safetensors file at `path` without referent's header, all of it or nothing.

    Raises:
        OSError: as `write`.
    """
    # safetensors refuses views of one storage, so every tensor gets its own.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(plain, temporary, metadata=None if metadata is None else dict(metadata))
        except SafetensorError as error:
            raise OSError(f"{path}: cannot write: {error}") from error


def read(path: Path) -> tuple[Header, dict[str, Tensor]]:
    """The header and the tensors, in the dtypes of the file, on the CPU.

    Raises:
        WeightsError: missing, not safetensors (pickles included, which are never opened), truncated, or without
            referent's header.
    """
    return read_header(path), read_tensors(path)


def read_header(path: Path) -> Header:
    """The header alone; no tensor is read.

    Raises:
        WeightsError: as `read`.
    """
    with _opened(path) as stream:
        metadata = stream.metadata() or {}
    if KEY not in metadata:
        raise WeightsError(
            f"{path}: expected a weight file written by referent, found safetensors without its header; "
            "`referent convert` turns a system's official weights into one"
        )
    try:
        content = json.loads(metadata[KEY])
        if content.get("format") != FORMAT:
            raise WeightsError(f"{path}: expected format {FORMAT}, found {content.get('format')!r}; update referent")
        header = Header(**content)
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: the header cannot be read: {error}") from error
    expected = {item.name: str if item.name in ("name", "family") else dict for item in fields(Header)[:5]}
    for name, kind in expected.items():
        if not isinstance(getattr(header, name), kind):
            raise WeightsError(f"{path}: header field {name}: expected {kind.__name__}, found {content[name]!r}")
    return header


def is_ours(path: Path) -> bool:
    """Whether a safetensors file has referent's header.

    Raises:
        WeightsError: missing, not safetensors, or truncated.
    """
    with _opened(path) as stream:
        return KEY in (stream.metadata() or {})


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of any safetensors file, in the dtypes of the file, on the CPU.

    Raises:
        WeightsError: missing, not safetensors, or truncated.
    """
    with _opened(path) as stream:
        return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """`tensors` into `model`, strictly: every name must be there, none may be left over, shapes must agree.

    Floating-point tensors are cast to the dtype of the model's own (an fp16 or bf16 file fills an fp32 model).

    Args:
        model: changed in place; one on the meta device takes the tensors themselves, without a copy.
        tensors: names as in `model.state_dict()`.
        source: named in errors.

    Raises:
        WeightsError: names missing, left over, of another shape or of another kind (integer for float); the model is
            then untouched.
    """
    check(model, tensors, source)
    own = model.state_dict()
    empty = any(tensor.is_meta for tensor in own.values())
    fitting = {name: tensor.to(own[name].dtype) for name, tensor in tensors.items()}
    model.load_state_dict(fitting, strict=True, assign=empty)


def check(model: nn.Module, tensors: Mapping[str, Tensor], source: Path | str) -> None:
    """Whether `load_into` would take these tensors; the model may be on the meta device.

    Raises:
        WeightsError: as `load_into`.
    """
    own = model.state_dict()
    problems = [
        f"{label}: {listed(names)}"
        for label, names in (
            ("missing", own.keys() - tensors.keys()),
            ("not of this model", tensors.keys() - own.keys()),
        )
        if names
    ]
    for name in sorted(own.keys() & tensors.keys()):
        expected, found = own[name], tensors[name]
        if expected.shape != found.shape:
            problems.append(f"{name}: expected shape {tuple(expected.shape)}, found {tuple(found.shape)}")
        elif expected.is_floating_point() != found.is_floating_point():
            problems.append(f"{name}: expected {expected.dtype}, found {found.dtype}")
    if problems:
        shown = problems[:NAMES_SHOWN]
        more = f"; and {len(problems) - len(shown)} more" if len(problems) > len(shown) else ""
        raise WeightsError(f"{source}: does not fit {type(model).__name__}: {'; '.join(shown)}{more}")


def cast(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Floating-point tensors as `dtype`, all others as they are."""
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def sha256(path: Path) -> str:
    """The file's SHA-256, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"{path}: expected a weight file, found {'a folder' if path.is_dir() else 'nothing'}")
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    # A pickle may hold code, and one look at its first bytes is enough to leave it alone.
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise WeightsError(
            f"{path}: expected safetensors, found a PyTorch pickle, which is not opened here because it may hold code; "
            "`referent convert` reads the harmless ones"
        )
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not safetensors, or truncated: {error}") from error
