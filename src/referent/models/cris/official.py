"""Checkpoints of the official CRIS code (DerrickWang005/CRIS.pytorch): their names to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.clip_config import CLIPResNetConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_weights import image_config, text_config
from referent.encoders.keymap import Row, prefixed, to_ours, to_theirs
from referent.errors import WeightsError
from referent.models.cris.config import CRISConfig, NeckConfig
from referent.models.cris.model import CRIS
from referent.models.official import PROJECTOR_ROWS, Checkpoint, decoder_rows

_WHAT = "a CRIS checkpoint"
_NECK = [
    Row("neck.text.", "neck.txt_proj."),
    Row("neck.project5.", "neck.f1_v_proj."),
    Row("neck.mix5.", "neck.norm_layer."),
    Row("neck.project4.", "neck.f2_v_proj."),
    Row("neck.merge4.", "neck.f2_cat."),
    Row("neck.project3.", "neck.f3_v_proj."),
    Row("neck.merge3.", "neck.f3_cat."),
    Row("neck.smooth5.", "neck.f4_proj5."),
    Row("neck.smooth4.", "neck.f4_proj4."),
    Row("neck.smooth3.", "neck.f4_proj3."),
    Row("neck.aggregate.", "neck.aggr."),
    Row("neck.place.", "neck.coordconv.0.conv1."),
    Row("neck.settle.", "neck.coordconv.1."),
]


def table(config: CRISConfig) -> list[Row]:
    """The whole table of names for one configuration.

    Raises:
        WeightsError: a configuration that the official code does not have (another encoder than CLIP's ResNets).
    """
    if (
        not isinstance(config.image, CLIPResNetConfig)
        or config.presence
        or config.text.reduced
        or config.text.width != config.neck.channels[1]
    ):
        raise WeightsError(
            "the official CRIS has a CLIP ResNet, the whole vocabulary, words as wide as the neck and no presence "
            "head; this model differs"
        )
    return [
        *prefixed(image_rows(config.image), ours="image_encoder.", theirs="backbone."),
        *prefixed(text_rows(config.text), ours="text_encoder.", theirs="backbone."),
        *_NECK,
        *decoder_rows(config.decoder.layers),
        *PROJECTOR_ROWS,
    ]


def config_of(official: Mapping[str, Any]) -> CRISConfig:
    """The configuration that follows from an official checkpoint's names and shapes (`module.` and entries allowed).

    Raises:
        WeightsError: not a checkpoint of CRIS.
    """
    checkpoint = Checkpoint(official, _WHAT)
    clip = checkpoint.clip()
    width, _, _, _ = checkpoint.shape("neck.f2_cat.0.weight", 4)
    fine, coarse = (checkpoint.shape(f"neck.{name}_v_proj.0.weight", 4)[0] for name in ("f3", "f1"))
    try:
        return CRISConfig(
            image=image_config(clip, "quick_gelu"),
            text=text_config(clip, "quick_gelu"),
            neck=NeckConfig(channels=(fine, width, coarse)),
            decoder=checkpoint.decoder(width),
            projector=checkpoint.projector(),
        )
    except ValidationError as error:
        raise checkpoint.error(error.errors()[0]["msg"]) from error


def from_official(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """An official checkpoint as a state dict of `CRIS(config_of(official))`.

    Args:
        official: a state dict, or a checkpoint with the entry `state_dict` beside optimiser entries; names may carry
            DistributedDataParallel's `module.`.

    Raises:
        WeightsError: not a CRIS checkpoint; names missing, left over or of another shape are listed.
    """
    config = config_of(official)
    with torch.device("meta"):
        wanted = CRIS(config).state_dict()
    return to_ours(Checkpoint(official, _WHAT).state, wanted, table(config), "CRIS checkpoint")


def to_official(state: Mapping[str, Tensor], config: CRISConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    return to_theirs(state, table(config))
