"""The table of all model names, and the way from a name, folder, file or hub id to a model.

Importing this module is cheap: families load their code when they are asked for.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from referent import hub
from referent.errors import WeightsError

if TYPE_CHECKING:
    from types import ModuleType

    from pydantic import BaseModel, ValidationError
    from torch import Tensor

    from referent.models.base import SegmentationModel
    from referent.preparation import Preparation
    from referent.weights import Header


class Family(NamedTuple):
    """The code of one published system.

    Attributes:
        config: its pydantic configuration.
        model: its model class; `model(config)` builds one.
        official: its module with `config_of(state)`, `from_official(state)` and `to_official(state, config)`.
        preparation: settings of `Preparation` with which the authors trained, where they are not its defaults.
        nested: the entry of the authors' checkpoints that holds the tensors, and what their names begin with there
            ("module." where the code loads into a model wrapped by DataParallel).
    """

    config: type[BaseModel]
    model: Callable[[Any], SegmentationModel]
    official: ModuleType
    preparation: Mapping[str, Any] = {}
    nested: tuple[str, str] = ("state_dict", "module.")


def _cris() -> Family:
    from referent.models.cris import official
    from referent.models.cris.config import CRISConfig
    from referent.models.cris.model import CRIS

    return Family(CRISConfig, CRIS, official)


def _etris() -> Family:
    from referent.models.etris import official
    from referent.models.etris.config import ETRISConfig
    from referent.models.etris.model import ETRIS

    return Family(ETRISConfig, ETRIS, official)


def _magnet() -> Family:
    from referent.models.magnet import official
    from referent.models.magnet.config import MagNetConfig
    from referent.models.magnet.model import MagNet

    squashed = {
        "size": 480,
        "fit": "squash",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "context_length": 20,
        "tokenizer": "bert",
        "threshold": 0.5,
    }
    return Family(MagNetConfig, MagNet, official, squashed, ("model", ""))


def _unirefpp() -> Family:
    from referent.models.unirefpp import official
    from referent.models.unirefpp.config import UniRefConfig
    from referent.models.unirefpp.model import UniRef

    shortest = {
        "size": 800,
        "longest": 1333,
        "fit": "shortest",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "context_length": 77,
        "tokenizer": "bert",
        "threshold": 0.5,
    }
    return Family(UniRefConfig, UniRef, official, shortest, ("model", ""))


class _Families(Mapping[str, Family]):
    def __init__(self, **loaders: Callable[[], Family]) -> None:
        self._loaders = loaders

    def __getitem__(self, name: str) -> Family:
        return self._loaders[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


COMPOSED = frozenset({"reclip"})
"""Families without weights of their own."""

FAMILIES: Mapping[str, Family] = _Families(cris=_cris, etris=_etris, magnet=_magnet, unirefpp=_unirefpp)


@dataclass(frozen=True)
class Row:
    """One named model.

    Attributes:
        name: what users type.
        family: key of `FAMILIES`, or one of `COMPOSED`.
        takes: kinds of reference: "phrase", "example".
        abilities: what else it can do, in a few words each.
        parameters: number of parameters.
        licence: of the weights (the code is Apache-2.0).
        origin: where the weights come from.
        packaged: file inside the package's `pocket` folder; None for weights that do not ship.
        sha256: of that file; None where no one file is meant.
        card: page about it, relative to the repository.
        absent: why there are no weights here, up to the advice to convert some; None for weights that ship.
        variant: name of the configuration's constructor (`CRISConfig.r50`) for weights that people bring themselves;
            None for a model whose file holds its configuration.
        fetched: repository and file on the hub where the authors' checkpoint lies, for `referent convert`.
        size: side of the square pictures of these weights, where it is not the family's.
        system: file inside the package's `grounding/systems` folder, for a system that is put together from others'
            weights.
    """

    name: str
    family: str
    takes: tuple[str, ...]
    abilities: tuple[str, ...]
    parameters: int | None
    licence: str
    origin: str
    packaged: str | None = None
    sha256: str | None = None
    card: str | None = None
    absent: str | None = None
    variant: str | None = None
    fetched: tuple[str, str] | None = None
    size: int | None = None
    system: str | None = None

    @property
    def path(self) -> Path | None:
        """The weight file on this machine, or None when it is not here."""
        if self.packaged is None:
            return None
        path = Path(str(resources.files("referent") / "pocket" / self.packaged))
        return path if path.is_file() else None

    def config(self) -> BaseModel:
        """The configuration of a row with a `variant`."""
        if self.variant is None:
            raise WeightsError(f"{self.name}: its configuration is in its weight file")
        config: BaseModel = getattr(FAMILIES[self.family].config, self.variant)()
        return config


_OPENAI = "OpenAI's CLIP, fetched from the hub"
_NONE_PUBLIC = "yours: no official checkpoint is public"
_NEVER_RELEASED = "its authors never released a checkpoint. One that you or others trained with the official code"
_ETRIS_LINK = "official: the link in the README of github.com/kkakkkka/ETRIS (Baidu pan, password beside it)"
_ETRIS_AWAY = "its authors' checkpoints lie behind the link in the README of github.com/kkakkkka/ETRIS. One"
_CONVERT = "referent convert CHECKPOINT.pth OUT.safetensors"

_MAGNET_REPOSITORY = "yxchng/magnet_weights"


def _magnet_row(name: str, file: str, size: int | None = None) -> Row:
    return Row(
        name=name,
        family="magnet",
        takes=("phrase",),
        abilities=(),
        parameters=296_984_954,
        licence="AGPL-3.0, as the authors' code",
        origin=f"official: hub repository {_MAGNET_REPOSITORY}",
        card="src/referent/models/magnet/README.md",
        absent="the authors' checkpoint, which one command fetches from the hub under its licence AGPL-3.0,",
        variant="released",
        fetched=(_MAGNET_REPOSITORY, file),
        size=size,
    )


def _unirefpp_row(name: str, variant: str, parameters: int) -> Row:
    return Row(
        name=name,
        family="unirefpp",
        takes=("phrase", "example"),
        abilities=("several examples for one target", "an example beside a phrase"),
        parameters=parameters,
        licence="MIT, as the authors' code",
        origin="official: the links in the README of github.com/FoundationVision/UniRef (Google Drive)",
        card="src/referent/models/unirefpp/README.md",
        absent="its authors' checkpoints lie behind the links in the README of github.com/FoundationVision/UniRef. One",
        variant=variant,
    )


ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row(
            name="cris-pocket",
            family="cris",
            takes=("phrase",),
            abilities=("says when nothing is there",),
            parameters=6_791_074,
            licence="Apache-2.0",
            origin="in the package, trained by this project",
            packaged="cris-pocket.safetensors",
            sha256="072b8d764df6f2f05361e2feaa87179e533a68f2197a4dfb8d9e714c95d1d349",
            card="src/referent/pocket/cris-pocket.md",
        ),
        Row(
            name="cris-r50",
            family="cris",
            takes=("phrase",),
            abilities=(),
            parameters=146_849_121,
            licence="your checkpoint's",
            origin=_NONE_PUBLIC,
            card="src/referent/models/cris/README.md",
            absent=_NEVER_RELEASED,
            variant="r50",
        ),
        Row(
            name="cris-r101",
            family="cris",
            takes=("phrase",),
            abilities=(),
            parameters=161_251_681,
            licence="your checkpoint's",
            origin=_NONE_PUBLIC,
            card="src/referent/models/cris/README.md",
            absent=_NEVER_RELEASED,
            variant="r101",
        ),
        Row(
            name="etris-r50",
            family="etris",
            takes=("phrase",),
            abilities=("trained as an adapter of CLIP",),
            parameters=132_783_521,
            licence="MIT, as the authors' code",
            origin=_ETRIS_LINK,
            card="src/referent/models/etris/README.md",
            absent=_ETRIS_AWAY,
            variant="r50",
        ),
        Row(
            name="etris-r101",
            family="etris",
            takes=("phrase",),
            abilities=("trained as an adapter of CLIP",),
            parameters=146_923_937,
            licence="MIT, as the authors' code",
            origin=_ETRIS_LINK,
            card="src/referent/models/etris/README.md",
            absent=_ETRIS_AWAY,
            variant="r101",
        ),
        Row(
            name="etris-vitb16",
            family="etris",
            takes=("phrase",),
            abilities=("trained as an adapter of CLIP",),
            parameters=173_259_329,
            licence="MIT, as the authors' code",
            origin=_ETRIS_LINK,
            card="src/referent/models/etris/README.md",
            absent=_ETRIS_AWAY,
            variant="vitb16",
        ),
        _magnet_row("magnet-refcoco", "magnet_refcoco.pth"),
        _magnet_row("magnet-refcoco+", "magnet_refcoco+.pth"),
        _magnet_row("magnet-refcocog-umd", "magnet_refcocog_umd.pth"),
        _magnet_row("magnet-refcocog-google", "magnet_refcocog_google.pth"),
        _magnet_row("magnet-all", "magnet_all.pth", size=448),
        _unirefpp_row("unirefpp-r50", "r50", 190_990_968),
        _unirefpp_row("unirefpp-swin-l", "swin_l", 361_327_724),
        Row(
            name="reclip",
            family="reclip",
            takes=("phrase",),
            abilities=("zero-shot", "always answers"),
            parameters=442_256_530,
            licence="MIT (OpenAI's CLIP)",
            origin=_OPENAI,
            card="src/referent/models/reclip/README.md",
            system="reclip.yaml",
        ),
        Row(
            name="reclip-rn50x16",
            family="reclip",
            takes=("phrase",),
            abilities=("zero-shot", "always answers"),
            parameters=290_979_217,
            licence="MIT (OpenAI's CLIP)",
            origin=_OPENAI,
            card="src/referent/models/reclip/README.md",
            system="reclip-rn50x16.yaml",
        ),
        Row(
            name="reclip-vit-b32",
            family="reclip",
            takes=("phrase",),
            abilities=("zero-shot", "always answers"),
            parameters=151_277_313,
            licence="MIT (OpenAI's CLIP)",
            origin=_OPENAI,
            card="src/referent/models/reclip/README.md",
            system="reclip-vit-b32.yaml",
        ),
    )
}


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
    path = Path(text)
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
    base = adapters.base_of(header)
    if base is not None:
        packaged = {row.sha256: row.path for row in ROWS.values() if row.sha256 and row.path}
        return adapters.whole(header), adapters.completed(path, base, tensors, clip, packaged)
    if clip is not None:
        raise WeightsError(f"{path}: a whole model, which takes no CLIP beside it; found {clip}")
    return header, tensors


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
