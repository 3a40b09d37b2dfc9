"""Adapters: what a training changed, in a file that lacks what the encoders' own file holds.

An adapter is a weight file of referent whose header names its base, the file from which the frozen encoders come: a
CLIP, or a weight file of referent. Left out are the encoders' parameters, except for positional tables, which may have
been trained or resized; kept is everything else, statistics of batch norms included, since they may drift while their
weights are frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor

from referent import hub, weights
from referent.encoders.clip_weights import read_clip
from referent.errors import WeightsError, listed

KEY = "base"
_PARTS = ("image_encoder.", "text_encoder.")
_OWN = ("positions", "running_mean", "running_var", "num_batches_tracked")
# Where the authors' `clip` package keeps what it has downloaded.
_CLIP_CACHE = Path("~/.cache/clip")
_DIGITS = 12  # of a checksum, in messages


@dataclass(frozen=True)
class Base:
    """The file that an adapter belongs to.

    Attributes:
        name: of the file: "RN50.pt".
        sha256: of the file.
        tensors: SHA-256 of the tensors that it lends, by which the same weights are known in another form.
    """

    name: str
    sha256: str
    tensors: str


def base_of(header: weights.Header) -> Base | None:
    """The base that a header names; None for the header of a whole model.

    Raises:
        WeightsError: the entry is there and cannot be read.
    """
    entry = header.extra.get(KEY)
    if entry is None:
        return None
    wanted = [item.name for item in fields(Base)]
    if not isinstance(entry, dict) or [type(entry.get(name)) for name in wanted] != [str] * len(wanted):
        raise WeightsError(
            f"{header.name}: header field extra.{KEY}: expected texts {', '.join(wanted)}, found {entry!r}"
        )
    return Base(**{name: entry[name] for name in wanted})


def whole(header: weights.Header) -> weights.Header:
    """The same header without a base."""
    return replace(header, extra={key: value for key, value in header.extra.items() if key != KEY})


def write(path: Path, state: Mapping[str, Tensor], header: weights.Header, source: Path) -> None:
    """A model's adapter to a .safetensors file.

    Args:
        path: the file to write, all of it or nothing.
        state: of the whole model.
        header: of the whole model.
        source: the file from which its encoders come.

    Raises:
        WeightsError: `source` cannot be used, or its encoders are not those of the model.
        OSError: as `weights.write`.
    """
    given = lent(source)
    other = [
        name
        for name, value in given.items()
        if name not in state
        or state[name].shape != value.shape
        or not torch.equal(state[name].cpu(), value.to(state[name].dtype))
    ]
    if other:
        raise WeightsError(
            f"{source}: not the encoders of this model: {listed(other)} differ. An adapter needs the very weights that "
            "the training started from, and encoders that were frozen"
        )
    base = Base(source.name, weights.sha256(source), _digest(given))
    rest = {name: value for name, value in state.items() if name not in given}
    weights.write(path, rest, replace(header, extra={**header.extra, KEY: asdict(base)}))


def completed(
    path: Path, base: Base, tensors: Mapping[str, Tensor], clip: Path | None, packaged: Mapping[str, Path]
) -> dict[str, Tensor]:
    """An adapter's tensors together with those that its base lends.

    Args:
        path: the adapter.
        base: what its header names.
        tensors: what it holds.
        clip: the base's file; looked for when None: see `find`.
        packaged: files of this package by their SHA-256.

    Raises:
        WeightsError: the base is not found, cannot be used, or is another one.
    """
    source = clip or find(path, base, packaged)
    if not source.is_file():
        found = "a folder" if source.is_dir() else "nothing"
        raise WeightsError(f"{source}: expected the file of {base.name}, found {found}")
    given = lent(source)
    if weights.sha256(source) != base.sha256 and _digest(given) != base.tensors:
        raise WeightsError(
            f"{path}: an adapter of {base.name} (sha256 {base.sha256[:_DIGITS]}...); {source} holds other weights "
            f"(sha256 {weights.sha256(source)[:_DIGITS]}...)"
        )
    both = given.keys() & tensors.keys()
    if both:
        raise WeightsError(f"{path}: an adapter of {base.name} that also holds parts of it: {listed(both)}")
    return {**given, **tensors}


def find(path: Path, base: Base, packaged: Mapping[str, Path]) -> Path:
    """The file of `base` on this machine.

    It is looked for by checksum among the files of the package and in the hub's cache, and by its name beside the
    adapter, in the working directory and in the cache of OpenAI's `clip` package.

    Raises:
        WeightsError: none of these.
    """
    known = packaged.get(base.sha256) or hub.cached(base.sha256)
    if known is not None:
        return known
    for folder in (path.absolute().parent, Path(), _CLIP_CACHE.expanduser()):
        if (folder / base.name).is_file():
            return folder / base.name
    raise WeightsError(
        f"{path}: an adapter of {base.name} (sha256 {base.sha256[:_DIGITS]}...), which is neither beside it nor in the "
        f"working directory, {_CLIP_CACHE} or the hub's cache; say where it is: clip= in Python, --clip on the command "
        "line"
    )


def can_be_lent(name: str) -> bool:
    """Whether a model's tensor of this name belongs to its encoders' file: not so what is trained there or drifts, and
    not the convolution around CLIP's attention pool, which no CLIP has."""
    own = name.rpartition(".")[2] in _OWN or ".connect." in name
    return name.startswith(_PARTS) and not own


def lent(source: Path) -> dict[str, Tensor]:
    """What a base lends to its adapters: tensors by a model's names, float32.

    Raises:
        WeightsError: neither a CLIP nor a weight file of referent with encoders.
    """
    return {name: value for name, value in _encoders(source).items() if can_be_lent(name)}


def _encoders(source: Path) -> dict[str, Tensor]:
    try:
        weights.read_header(source)
    except WeightsError:
        clip = read_clip(source)
        return {
            **{f"image_encoder.{name}": value for name, value in clip.image_state.items()},
            **{f"text_encoder.{name}": value for name, value in clip.text_state.items()},
        }
    tensors = weights.read_tensors(source)
    if not any(name.startswith(_PARTS) for name in tensors):
        raise WeightsError(f"{source}: expected a CLIP or a model with encoders of its own, found neither")
    return tensors


def _digest(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].float()
        sha.update(f"{name} {tuple(value.shape)}".encode())
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()
