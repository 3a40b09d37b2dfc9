"""The named models: what they take, how large they are, under which licence, and where their weights come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from referent.errors import WeightsError
from referent.zoo.families import FAMILIES

if TYPE_CHECKING:
    from pydantic import BaseModel


POCKET = Path(str(resources.files("referent") / "pocket"))
# Files of the package that are no model but lend adapters an encoder, by name, with their SHA-256.
LENT: Mapping[str, str] = {
    "deeplabv3_mobilenet_v2_voc.safetensors": "f661092cef2c4c114006b9ec5553bafbd244643b32f106988c6edd6f9f271a01",
}


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
        path = POCKET / self.packaged
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
            sha256="d0636adc585d9bf4cccdcb6980fe08413a7733251b185071a3957568d22258e0",
            card="src/referent/pocket/cris-pocket.md",
        ),
        Row(
            name="magnet-pocket",
            family="magnet",
            takes=("phrase",),
            abilities=("says when nothing is there", "guesses hidden words"),
            parameters=7_066_049,
            licence="Apache-2.0",
            origin="in the package, trained by this project",
            packaged="magnet-pocket.safetensors",
            sha256="308754c7e41d05895053ea544aa581b0ecf8a13faf9e22bf4711cbe139837910",
            card="src/referent/pocket/magnet-pocket.md",
        ),
        Row(
            name="unirefpp-pocket",
            family="unirefpp",
            takes=("phrase", "example"),
            abilities=(
                "several examples for one target",
                "an example beside a phrase",
                "follows through videos",
                "says when nothing is there",
            ),
            parameters=7_311_573,
            licence="CC BY-NC 4.0",
            origin="in the package, trained by this project",
            packaged="unirefpp-pocket.safetensors",
            sha256="b8a81e13e4c871863b60bac1c602042b03d6c662d5ba7d4fe9d58f2deaa72f1c",
            card="src/referent/pocket/unirefpp-pocket.md",
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
            name="etris-pocket",
            family="etris",
            takes=("phrase",),
            abilities=("says when nothing is there",),
            parameters=5_964_098,
            licence="Apache-2.0",
            origin="in the package, trained by this project",
            packaged="etris-pocket.safetensors",
            sha256="a0a3c96a2753b749c6de179991a5e1958b495062f183b932138cc29b2e878e34",
            card="src/referent/pocket/etris-pocket.md",
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
            name="unirefpp-sam",
            family="unirefpp-sam",
            takes=("phrase", "example"),
            abilities=("several examples for one target", "an example beside a phrase"),
            parameters=759_999_203,
            licence="your checkpoint's",
            origin=_NONE_PUBLIC,
            card="src/referent/models/unirefpp/sam/README.md",
            absent=_NEVER_RELEASED,
            variant="vit_h",
        ),
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
            name="reclip-pocket",
            family="reclip",
            takes=("phrase",),
            abilities=("zero-shot", "always answers"),
            parameters=4_778_899,
            licence="Apache-2.0; its parser CC BY-SA 4.0",
            origin="in the package, trained by this project",
            card="src/referent/pocket/clip-pocket.md",
            system="reclip-pocket.yaml",
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
