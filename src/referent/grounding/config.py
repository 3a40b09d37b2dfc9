"""What a grounding system is put together from, as a YAML file says it.

    name: my-reclip
    clips: [RN50x16.pt, openai/clip-vit-base-patch32]
    parser: en_core_web_sm
    proposals: detections.json

Files are named relative to the YAML file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from referent.errors import DataError
from referent.grounding.gradcam import ALPHA
from referent.grounding.isolation import BLUR_SIGMA, Kind
from referent.grounding.scoring import Aggregator
from referent.models.reclip.settings import ResolverSettings

Method = Literal["reclip", "ips", "ips-head", "cpt", "gradcam", "random"]
NEED_A_PARSER: tuple[Method, ...] = ("reclip", "ips-head")


class GroundingConfig(BaseModel):
    """One grounding system. The defaults are the published ReCLIP, but for parser and proposals, which need nothing
    but this package.

    Attributes:
        name: printed in answers and results, with the mode of the resolver and where parses and proposals are from.
        method: "reclip"; "ips", isolated proposal scoring alone ("ReCLIP w/o relations"); "ips-head", the same times
            the score of the head noun phrase; "cpt", proposals shaded in red (CPT-adapted); "gradcam"; "random".
        clips: CLIP weights: files, folders, hub ids, or "clip-pocket", the one in the package; their logits are summed.
        kinds: of isolation; always "shade" for "cpt".
        aggregator: of the kinds' logits.
        sigma: of the blur in pixels.
        mode: "compat", the official resolver with its defects, or "fixed".
        settings: fields of `ResolverSettings` that differ from the mode's.
        parser: "pocket", the one in the package; an installed spaCy pipeline or its folder; a .jsonl file of parses.
        proposals: a .json file of boxes (see `from_file`); a segmenter of ours by zoo name or .safetensors file, whose
            masks are taken; "sam" for everything that `sam` finds; else a detector for `transformers`, hub id or
            folder.
        min_score: of boxes from files (by default all) and detectors (by default `detector.MIN_SCORE`).
        labels: what a detector that is asked in words is asked for.
        sam: hub id or folder of a SAM, which then draws the mask of a box that has none.
        alpha: of GradCAM.
        seed: of "random".
        feature_cache: folder in which features of proposals are kept over runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    method: Method = "reclip"
    clips: Annotated[tuple[str, ...], Field(min_length=1)]
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("crop", "blur")
    aggregator: Aggregator = "sum"
    sigma: int = Field(BLUR_SIGMA, gt=0)
    mode: Literal["compat", "fixed"] = "compat"
    settings: dict[str, Any] = {}
    parser: str = "pocket"
    proposals: str = "cris-pocket"
    min_score: float | None = Field(None, ge=0, le=1)
    labels: Annotated[tuple[str, ...], Field(min_length=1)] = ("object",)
    sam: str | None = None
    alpha: float = Field(ALPHA, ge=0)
    seed: int = Field(0, ge=0)
    feature_cache: str | None = None

    @model_validator(mode="after")
    def _sam_is_named(self) -> GroundingConfig:
        if self.proposals == "sam" and self.sam is None:
            raise ValueError("proposals of sam: expected `sam`, the hub id or folder of one, found none")
        return self

    @field_validator("settings")
    @classmethod
    def _known(cls, settings: dict[str, Any]) -> dict[str, Any]:
        try:
            ResolverSettings(**settings)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return settings

    @property
    def resolver(self) -> ResolverSettings:
        """The mode with its changes."""
        base = ResolverSettings.fixed() if self.mode == "fixed" else ResolverSettings.compat()
        return replace(base, **self.settings)


def read_config(path: Path) -> GroundingConfig:
    """The configuration of a YAML file, with file names made absolute.

    Raises:
        DataError: missing, no YAML, or an unknown or impossible setting; the message names the file and the setting.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path}: broken YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected settings of a grounding system (name, clips, ...), found {content!r:.60}")
    try:
        config = GroundingConfig.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg']}, found {first['input']!r:.60}") from None
    return config.model_copy(update=_located(config, path.resolve().parent))


def _located(config: GroundingConfig, folder: Path) -> dict[str, Any]:
    """Settings that name files beside the configuration, with the whole path."""

    def located(name: str) -> str:
        beside = folder / name
        return str(beside) if beside.exists() else name

    found: dict[str, Any] = {"clips": tuple(map(located, config.clips))}
    for field in ("parser", "proposals", "sam"):
        value = getattr(config, field)
        found[field] = None if value is None else located(value)
    return found
