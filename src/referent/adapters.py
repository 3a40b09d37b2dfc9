"""Adapters: what a training changed, in a file that lacks what the encoders' own file holds.

An adapter is a weight file of referent whose header names its bases, the files from which the frozen encoders come: one
with both (a CLIP, or a weight file of referent), or one for each. Left out are the encoders' parameters, except for
positional tables, which may have been trained or resized; kept is everything else, statistics of batch norms included,
since they may drift while their weights are frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from referent import hub, weights
from referent.encoders.parts import encoder_tensors
from referent.errors import WeightsError, listed

KEY = "bases"
Part = Literal["both", "image_encoder", "text_encoder"]
_ENCODERS = ("image_encoder.", "text_encoder.")
_OWN = ("positions", "running_mean", "running_var", "num_batches_tracked")
# Where the authors' `clip` package keeps what it has downloaded.
_CLIP_CACHE = Path("~/.cache/clip")
_DIGITS = 12  # of a checksum, in messages


@dataclass(frozen=True)
class Base:
    """A file that an adapter belongs to.

    Attributes:
        part: which encoders it lends.
        name: of the file: "RN50.pt".
        sha256: of the file.
        tensors: SHA-256 of the tensors that it lends, by which the same weights are known in another form.
    """

    part: Part
    name: str
    sha256: str
    tensors: str


def bases_of(header: weights.Header) -> tuple[Base, ...]:
    """The bases that a header names; none for the header of a whole model.

    Raises:
        WeightsError: the entry is there and cannot be read.
    """
    entries = header.extra.get(KEY, [])
    wanted = [item.name for item in fields(Base)]
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and [type(entry.get(name)) for name in wanted] == [str] * len(wanted)
        and entry["part"] in get_args(Part)
        for entry in entries
    ):
        raise WeightsError(
            f"{header.name}: header field extra.{KEY}: expected a list of entries with texts {', '.join(wanted)}, "
            f"found {entries!r}"
        )
    return tuple(Base(**{name: entry[name] for name in wanted}) for entry in entries)


def whole(header: weights.Header) -> weights.Header:
    """The same header without bases."""
    return replace(header, extra={key: value for key, value in header.extra.items() if key != KEY})


def write(path: Path, state: Mapping[str, Tensor], header: weights.Header, sources: Mapping[Part, Path]) -> None:
    """A model's adapter to a .safetensors file.

    Args:
        path: the file to write, all of it or nothing.
        state: of the whole model.
        header: of the whole model.
        sources: the files from which its encoders come.

    Raises:
        WeightsError: a source cannot be used, or its encoders are not those of the model.
        OSError: as `weights.write`.
    """
    rest, bases = dict(state), []
    for part, source in sources.items():
        given = lent(source, part)
        other = [
            name
            for name, value in given.items()
            if name not in rest
            or rest[name].shape != value.shape
            or not torch.equal(rest[name].cpu(), value.to(rest[name].dtype))
        ]
        if other:
            raise WeightsError(
                f"{source}: not the encoders of this model: {listed(other)} differ. An adapter needs the very weights "
                "that the training started from, and encoders that were frozen"
            )
        bases.append(asdict(Base(part, source.name, weights.sha256(source), _digest(given))))
        rest = {name: value for name, value in rest.items() if name not in given}
    weights.write(path, rest, replace(header, extra={**header.extra, KEY: bases}))


def completed(
    path: Path, bases: Sequence[Base], tensors: Mapping[str, Tensor], sources: Mapping[Part, Path]
) -> dict[str, Tensor]:
    """An adapter's tensors together with those that its bases lend.

    Args:
        path: the adapter.
        bases: what its header names.
        tensors: what it holds.
        sources: the bases' files, see `locate`.

    Raises:
        WeightsError: a file that is not there, cannot be used, or is another one.
    """
    every = dict(tensors)
    for base in bases:
        source = sources[base.part]
        if not source.is_file():
            found = "a folder" if source.is_dir() else "nothing"
            raise WeightsError(f"{source}: expected the file of {base.name}, found {found}")
        given = lent(source, base.part)
        if weights.sha256(source) != base.sha256 and _digest(given) != base.tensors:
            raise WeightsError(
                f"{path}: an adapter of {base.name} (sha256 {base.sha256[:_DIGITS]}...); {source} holds other weights "
                f"(sha256 {weights.sha256(source)[:_DIGITS]}...)"
            )
        twice = given.keys() & tensors.keys()
        if twice:
            raise WeightsError(f"{path}: an adapter of {base.name} that also holds parts of it: {listed(twice)}")
        every |= given
    return every


def locate(path: Path, bases: Sequence[Base], clip: Path | None, packaged: Mapping[str, Path]) -> dict[Part, Path]:
    """The files of an adapter's bases on this machine.

    Args:
        path: the adapter.
        bases: what its header names.
        clip: the file of the one with both encoders; looked for when None.
        packaged: files of this package by their SHA-256.

    Raises:
        WeightsError: one is not found, or a CLIP is given to an adapter of two files.
    """
    if clip is None:
        return {base.part: find(path, base, packaged) for base in bases}
    if [base.part for base in bases] != ["both"]:
        names = " and ".join(base.name for base in bases)
        raise WeightsError(f"{path}: an adapter of {names}, which takes no CLIP; found {clip}")
    return {"both": clip}


def find(path: Path, base: Base, packaged: Mapping[str, Path]) -> Path:
    """The file of `base` on this machine.

    It is looked for by checksum among the files of the package and in the hub's cache, and by its name beside the
    adapter, in the working directory, in the cache of OpenAI's `clip` package and, where its encoders are the same, in
    this package, whose file may be a later one.

    Raises:
        WeightsError: none of these.
    """
    known = packaged.get(base.sha256) or hub.cached(base.sha256)
    if known is not None:
        return known
    for folder in (path.absolute().parent, Path(), _CLIP_CACHE.expanduser()):
        if (folder / base.name).is_file():
            return folder / base.name
    for file in packaged.values():
        if file.name == base.name and _digest(lent(file, base.part)) == base.tensors:
            return file
    advice = (
        "say where it is: clip= in Python, --clip on the command line" if base.part == "both" else "put it beside it"
    )
    raise WeightsError(
        f"{path}: an adapter of {base.name} (sha256 {base.sha256[:_DIGITS]}...), which is neither beside it nor in the "
        f"working directory, {_CLIP_CACHE} or the hub's cache; {advice}"
    )


def can_be_lent(name: str) -> bool:
    """Whether a model's tensor of this name belongs to its encoders' file: not so what is trained there or drifts, and
    not the convolution around CLIP's attention pool, which no CLIP has."""
    own = name.rpartition(".")[2] in _OWN or ".connect." in name
    return name.startswith(_ENCODERS) and not own


def lent(source: Path, part: Part) -> dict[str, Tensor]:
    """What a base lends to its adapters: tensors by a model's names, float32.

    Raises:
        WeightsError: no encoder in it, or not the one that it should lend.
    """
    wanted = _ENCODERS if part == "both" else (f"{part}.",)
    tensors = encoder_tensors(source)
    given = {name: value for name, value in tensors.items() if name.startswith(wanted) and can_be_lent(name)}
    if not given:
        raise WeightsError(f"{source}: {part.replace('_', ' ')}: expected tensors {' or '.join(wanted)}*, found none")
    return weights.cast(given, torch.float32)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    sha = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].float()
        sha.update(f"{name} {tuple(value.shape)}".encode())
        sha.update(value.numpy().tobytes())
    return sha.hexdigest()
