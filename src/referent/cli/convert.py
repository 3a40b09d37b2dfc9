"""`referent convert`: weights from one form into another. The only verb that opens pickles, and only harmless ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from referent.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from referent.adapters import Part as AdapterPart
    from referent.preparation import Preparation
    from referent.weights import Header
    from referent.zoo import Row

_BERT = "google-bert/bert-base-uncased"


class Form(StrEnum):
    """Forms in which weights come and go."""

    referent = "referent"
    official = "official"
    clip = "clip"


class Number(StrEnum):
    """How floating-point weights are written."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


def convert(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="The weight file to read, or a model whose official weights are on the hub."),
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; its folder must exist.")],
    from_form: Annotated[
        Form | None, typer.Option("--from", help="What IN is; found out from its content when not given.")
    ] = None,
    to_form: Annotated[
        Form | None,
        typer.Option("--to", help="What OUT will be; referent, but clip (as safetensors) for CLIP's own weights."),
    ] = None,
    context_length: Annotated[
        int | None,
        typer.Option(min=3, help="Tokens a phrase in the official training: CRIS 17, on RefCOCOg 22; MagNet 20."),
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(help="BERT's vocab.txt, a folder with it or a hub id; that of bert-base-uncased if not given."),
    ] = None,
    dtype: Annotated[
        Number | None, typer.Option(help="Write weights as fp32, fp16 or bf16; as read when not given.")
    ] = (None),
    adapter: Annotated[
        bool,
        typer.Option("--adapter", help="Leave out of OUT what the file given by --clip holds, or IN's own base files."),
    ] = False,
    clip: Annotated[
        Path | None,
        typer.Option(help="The CLIP from which the encoders come: for --adapter, or where IN is an adapter."),
    ] = None,
) -> None:
    """Convert weights: an official checkpoint into referent's form and back, CLIP archives into safetensors.

    Pickles are read with torch's weights-only reader, which refuses code.
    """
    row = _row_of(source)
    if row is not None:
        source = _fetched(row)
    settings = _Settings(row, context_length, vocabulary)
    found = from_form or _form_of(source)
    wanted = to_form or (Form.clip if found is Form.clip else Form.referent)
    ways: dict[tuple[Form, Form], Callable[[], str]] = {
        (Form.official, Form.referent): lambda: _official_to_referent(source, target, settings, dtype, bases),
        (Form.referent, Form.official): lambda: _referent_to_official(source, target, dtype, clip),
        (Form.referent, Form.referent): lambda: _referent_to_referent(source, target, dtype, clip, bases),
        (Form.clip, Form.clip): lambda: _clip_to_safetensors(source, target, dtype),
    }
    if (found, wanted) not in ways:
        raise typer.BadParameter(f"no way from {found.value} to {wanted.value}", param_hint="--to")
    if adapter and wanted is not Form.referent:
        raise typer.BadParameter(f"an adapter is a file of referent's, not {wanted.value}", param_hint="--adapter")
    bases = _bases(source, found, clip) if adapter else {}
    if not target.absolute().parent.is_dir():
        raise typer.BadParameter(f"{target.parent}: no such folder", param_hint="OUT")
    typer.echo(ways[found, wanted]())


def _form_of(source: Path) -> Form:
    from referent import weights

    if source.suffix == ".safetensors":
        try:
            weights.read_header(source)
            return Form.referent
        except WeightsError:
            pass
    names = _state(source).keys()
    clip = "visual.conv1.weight" in names or "vision_model.embeddings.class_embedding" in names
    return Form.clip if clip else Form.official


def _state(source: Path) -> dict[str, Any]:
    from referent.encoders.foreign import read_foreign, state_dict_in

    with warnings.catch_warnings():
        # Of a pickle in an unusual protocol torch warns before it reads or refuses it; the outcome says enough.
        warnings.simplefilter("ignore", UserWarning)
        return state_dict_in(read_foreign(source))


class _Settings(NamedTuple):
    """What the weights of an official checkpoint do not say of their training.

    Attributes:
        row: the model's, where it was asked for by name.
        context_length: tokens a phrase, None for the authors' own.
        vocabulary: where BERT's word pieces are; None for bert-base-uncased's on the hub.
    """

    row: Row | None
    context_length: int | None
    vocabulary: str | None

    def preparation(self, family: Mapping[str, Any]) -> Preparation:
        """Over the settings of the authors' `family`."""
        from referent.encoders.tokenizers import read_vocabulary
        from referent.preparation import Preparation

        settings = dict(family)
        if self.row is not None and self.row.size is not None:
            settings["size"] = self.row.size
        if self.context_length is not None:
            settings["context_length"] = self.context_length
        if settings.get("tokenizer") == "bert":
            settings["vocabulary"] = read_vocabulary(self.vocabulary or _BERT)
        return Preparation.model_validate(settings)


def _row_of(source: Path) -> Row | None:
    """The row of a model whose official checkpoint can be fetched, unless there is a file of this name."""
    from referent.zoo import ROWS

    row = ROWS.get(str(source))
    return row if row is not None and row.fetched is not None and not source.exists() else None


def _fetched(row: Row) -> Path:
    """The official checkpoint of a row, its licence said before it is fetched."""
    from referent import hub

    assert row.fetched is not None
    repository, file = row.fetched
    typer.echo(f"{row.name}: {file} of the hub's {repository}, licence {row.licence}", err=True)
    return hub.download(repository, file=file)


def _official_to_referent(
    source: Path, target: Path, settings: _Settings, dtype: Number | None, bases: Mapping[AdapterPart, Path]
) -> str:
    from referent import weights, zoo

    state = _state(source)
    try:
        name, family, config = zoo.recognised(state)
        tensors = zoo.FAMILIES[family].official.from_official(state)
    except WeightsError as error:
        raise WeightsError(f"{source}: {error}") from error
    name = settings.row.name if settings.row is not None else name
    preparation = settings.preparation(zoo.FAMILIES[family].preparation)
    zoo.check_tokenizer(config, preparation, source)
    header = weights.Header(
        name=name,
        family=family,
        config=config.model_dump(mode="json"),
        preparation=preparation.model_dump(mode="json"),
        extra={"converted_from": source.name, "source_sha256": weights.sha256(source)},
    )
    _write(target, _cast(tensors, dtype), header, bases)
    return f"{target}: {name}, {_size(target)}, from the official checkpoint {source}"


def _referent_to_official(source: Path, target: Path, dtype: Number | None, clip: Path | None) -> str:
    import torch

    from referent import zoo
    from referent.files import atomic_path

    header, tensors = zoo.read(source, clip)
    config = zoo.config_of(header, source)
    family = zoo.FAMILIES[header.family]
    official = family.official.to_official(_cast(tensors, dtype or Number.fp32), config)
    entry, before = family.nested
    try:
        with atomic_path(target) as temporary:
            torch.save({entry: {f"{before}{name}": tensor for name, tensor in official.items()}}, temporary)
    # torch's writer reports a full disk as RuntimeError, in words of its own.
    except RuntimeError as error:
        raise OSError(f"{target}: cannot write; is the disk full? {str(error).splitlines()[0]}") from error
    return f"{target}: {len(official)} tensors under the official names, from {source}"


def _referent_to_referent(
    source: Path, target: Path, dtype: Number | None, clip: Path | None, bases: Mapping[AdapterPart, Path]
) -> str:
    from referent import adapters, weights, zoo

    belongs = bool(adapters.bases_of(weights.read_header(source)))
    header, tensors = zoo.read(source, clip if belongs else None)
    _write(target, _cast(tensors, dtype), header, bases)
    return f"{target}: {header.name}, {_size(target)}"


def _bases(source: Path, form: Form, clip: Path | None) -> dict[AdapterPart, Path]:
    """The files that an adapter made of `source` belongs to: the CLIP that is given, or those of an adapter."""
    from referent import zoo

    if clip is not None:
        return {"both": clip}
    bases = zoo.bases_at(source) if form is Form.referent else {}
    if not bases:
        raise typer.BadParameter("needs --clip, the file from which the encoders come", param_hint="--adapter")
    return bases


def _write(target: Path, tensors: dict[str, Tensor], header: Header, bases: Mapping[AdapterPart, Path]) -> None:
    """A whole model, or where there are `bases` the adapter of them."""
    from referent import adapters, weights

    if bases:
        adapters.write(target, tensors, header, bases)
    else:
        weights.write(target, tensors, header)


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"


def _clip_to_safetensors(source: Path, target: Path, dtype: Number | None) -> str:
    import torch

    from referent import weights
    from referent.encoders.clip_weights import clip_from_state

    state = _state(source)
    clip = clip_from_state(state)
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    weights.write_tensors(target, _cast(tensors, dtype))
    return f"{target}: CLIP {type(clip.image).__name__.removesuffix('Config')}, {len(tensors)} tensors from {source}"


def _cast(tensors: dict[str, Tensor], dtype: Number | None) -> dict[str, Tensor]:
    import torch

    from referent import weights

    numbers = {Number.fp32: torch.float32, Number.fp16: torch.float16, Number.bf16: torch.bfloat16}
    return tensors if dtype is None else weights.cast(tensors, numbers[dtype])
