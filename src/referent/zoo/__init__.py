"""The table of all model names, and the way from a name, folder, file or hub id to a model.

Importing this module is cheap: families load their code when they are asked for.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from referent import hub
from referent.errors import WeightsError
from referent.files import expanded
from referent.zoo.families import COMPOSED, FAMILIES, Family
from referent.zoo.rows import LENT, POCKET, ROWS, Row

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from torch import Tensor

    from referent.adapters import Part
    from referent.models.base import SegmentationModel
    from referent.preparation import Preparation
    from referent.weights import Header

__all__ = [
    "COMPOSED",
    "FAMILIES",
    "ROWS",
    "Family",
    "Row",
    "able_to_take",
    "bases_at",
    "build",
    "check_tokenizer",
    "config_of",
    "find",
    "header",
    "is_system",
    "list_models",
    "read",
    "recognised",
]

_CONVERT = "referent convert CHECKPOINT.pth OUT.safetensors"


def list_models() -> Sequence[Row]:
    """All named models, in the order in which they are shown."""
    return tuple(ROWS.values())


def able_to_take(kind: str) -> tuple[str, ...]:
    """Names of the models that take this kind of reference."""
    return tuple(row.name for row in ROWS.values() if kind in row.takes)


def is_system(name: str | Path) -> bool:
    """Whether `name` means a grounding system and not a model: a row of `COMPOSED`, or a .yaml file."""
    text = os.fspath(name)
    return ROWS[text].family in COMPOSED if text in ROWS else Path(text).suffix in (".yaml", ".yml")


def find(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | None = None,
    local_files_only: bool = False,
) -> Path:
    """The weight file, or the .yaml file of a grounding system, that `name` means.

    Args:
        name: a name of `ROWS`, a .safetensors file, a folder holding one, a hub id ("owner/name"), or the .yaml file
            of a grounding system.
        revision: branch, tag or commit on the hub.
        cache_dir: the hub's cache; its own default when None.
        token: for private repositories on the hub.
        local_files_only: take the hub's cache as it is, without a network.

    Raises:
        WeightsError: there is no such model, its weights are not here, or the hub does not give them.
    """
    text = os.fspath(name)
    if text in ROWS:
        row = ROWS[text]
        if row.path is not None:
            return row.path
        if row.system is not None:
            return Path(str(resources.files("referent") / "grounding" / "systems" / row.system))
        if row.packaged is not None:
            raise WeightsError(f"{text}: {row.packaged} is missing from the installed package; install it again")
        convert = _CONVERT if row.fetched is None else f"referent convert {text} {text}.safetensors"
        raise WeightsError(
            f"{text}: there are no weights to load by this name: {row.absent} converts ({convert}); then load that file"
        )
    path = expanded(text)
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return path
    except OSError as error:
        raise WeightsError(f"{text}: {error.strerror}") from error
    if isinstance(name, str) and hub.is_id(name):
        return hub.download(name, revision, cache_dir, token, local_files_only)
    close = difflib.get_close_matches(text, ROWS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise WeightsError(
        f"{text}: expected a model name ({', '.join(ROWS)}), a .safetensors file, a folder with one, or a hub id, "
        f"found none of these{hint}"
    )


def read(path: Path, clip: Path | None = None) -> tuple[Header, dict[str, Tensor]]:
    """The header and all tensors of a weight file; those of an adapter together with its encoders'.

    Args:
        path: a weight file of referent's.
        clip: the file that an adapter's encoders come from; looked for when None (`adapters.find`).

    Raises:
        WeightsError: as `build`.
    """
    from referent import adapters, weights

    header, tensors = weights.read(path)
    bases = adapters.bases_of(header)
    if bases:
        return adapters.whole(header), adapters.completed(path, bases, tensors, bases_at(path, clip))
    if clip is not None:
        raise WeightsError(f"{path}: a whole model, which takes no CLIP beside it; found {clip}")
    return header, tensors


def bases_at(path: Path, clip: Path | None = None) -> dict[Part, Path]:
    """The files of this machine that an adapter belongs to, by what they lend; none for a whole model.

    Raises:
        WeightsError: one is not found.
    """
    from referent import adapters, weights

    packaged = {row.sha256: row.path for row in ROWS.values() if row.sha256 and row.path}
    packaged |= {sha256: POCKET / name for name, sha256 in LENT.items()}
    return adapters.locate(path, adapters.bases_of(weights.read_header(path)), clip, packaged)


def build(path: Path, clip: Path | None = None) -> tuple[SegmentationModel, Preparation, Header]:
    """The model of a weight file, in fp32 on the CPU and in evaluation mode, with its preparation and header.

    Args:
        path: a weight file of referent's, whole or an adapter.
        clip: as in `read`.

    Raises:
        WeightsError: the file is not one of referent's, is of an unknown family or configuration, or its tensors do
            not fit it; or an adapter's CLIP is not found or another one.
    """
    import torch
    from pydantic import ValidationError

    from referent import weights
    from referent.preparation import Preparation

    header, tensors = read(path, clip)
    config = config_of(header, path)
    try:
        preparation = Preparation.model_validate(header.preparation)
    except ValidationError as error:
        raise _invalid(error, path) from error
    check_tokenizer(config, preparation, path)
    # Random weights would take most of the time, only to be thrown away.
    with torch.device("meta"):
        model = FAMILIES[header.family].model(config)
    weights.load_into(model, tensors, path)
    left = [name for name, tensor in chain(model.named_parameters(), model.named_buffers()) if tensor.is_meta]
    assert not left, f"{type(model).__name__}: buffers that are not saved cannot be loaded: {left}"
    return model.eval(), preparation, header


def config_of(header: Header, source: Path) -> BaseModel:
    """The configuration that a weight file asks for.

    Raises:
        WeightsError: of an unknown family, or one that its family does not take.
    """
    from pydantic import ValidationError

    if header.family not in FAMILIES:
        raise WeightsError(f"{source}: expected a family of {', '.join(FAMILIES)}, found {header.family!r}")
    try:
        return FAMILIES[header.family].config.model_validate(header.config)
    except ValidationError as error:
        raise _invalid(error, source) from error


def check_tokenizer(config: BaseModel, preparation: Preparation, source: Path | str) -> None:
    """Whether the ids that phrases become are those that a model's text encoder knows.

    Args:
        config: of a family of `FAMILIES`.
        preparation: makes the ids.
        source: named in errors.

    Raises:
        WeightsError: they are another vocabulary's.
    """
    text: Any = getattr(config, "text", None)
    if text is None:  # no text encoder of ours, so nothing is known of its ids
        return
    wanted = "bert" if text.kind == "bert" else "clip"
    if preparation.tokenizer != wanted:
        raise WeightsError(
            f"{source}: preparation.tokenizer: expected {wanted!r}, which its text encoder reads, found "
            f"{preparation.tokenizer!r}"
        )
    if preparation.vocabulary is not None and len(preparation.vocabulary) != text.vocabulary:
        raise WeightsError(
            f"{source}: vocabulary: expected the {text.vocabulary} pieces of its table of tokens, found "
            f"{len(preparation.vocabulary)}: give the vocabulary that its text encoder was trained with"
        )


def recognised(official: Mapping[str, Any]) -> tuple[str, str, BaseModel]:
    """Which model an official checkpoint is, by its names and shapes: (name, family, configuration).

    The name is that of the only row with this configuration, else the family's.

    Raises:
        WeightsError: of no family of the zoo.
    """
    problems = []
    for family, code in FAMILIES.items():
        try:
            config: BaseModel = code.official.config_of(official)
        except WeightsError as error:
            problems.append(str(error))
            continue
        rows = [row for row in ROWS.values() if row.family == family and row.variant is not None]
        names = [row.name for row in rows if row.config() == config]
        return names[0] if len(names) == 1 else family, family, config
    raise WeightsError("; ".join(problems))


def header(
    model: SegmentationModel, preparation: Preparation, name: str, extra: Mapping[str, Any] | None = None
) -> Header:
    """The header that lets `build` make this model again.

    Raises:
        WeightsError: the model is of no family of the zoo.
    """
    from referent.weights import Header

    family = next((name for name, code in FAMILIES.items() if type(model) is code.model), None)
    if family is None:
        raise WeightsError(f"{type(model).__name__}: expected a model of {', '.join(FAMILIES)}")
    config: BaseModel = model.config  # type: ignore[assignment]
    return Header(name, family, config.model_dump(mode="json"), preparation.model_dump(mode="json"), dict(extra or {}))


def _invalid(error: ValidationError, source: Path) -> WeightsError:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return WeightsError(f"{source}: {error.title} {where}: {first['msg']}, found {first['input']!r}")


def _in_folder(folder: Path) -> Path:
    if (folder / hub.WEIGHTS_FILE).is_file():
        return folder / hub.WEIGHTS_FILE
    files = sorted(folder.glob("*.safetensors"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files[:5]) or "none"
        raise WeightsError(f"{folder}: expected {hub.WEIGHTS_FILE} or one .safetensors file, found {found}")
    return files[0]
