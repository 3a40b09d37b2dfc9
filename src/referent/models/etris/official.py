"""Checkpoints of the official ETRIS code (kkakkkka/ETRIS): their names to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.clip_config import CLIPResNetConfig, CLIPViTConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_weights import image_config, text_config
from referent.encoders.keymap import Row, packed_attention, prefixed, to_ours, to_theirs
from referent.errors import WeightsError
from referent.models.etris.config import BridgerConfig, ETRISConfig, NeckConfig
from referent.models.etris.model import ETRIS
from referent.models.official import PROJECTOR_ROWS, Checkpoint, decoder_rows

_WHAT = "an ETRIS checkpoint"
_STEPS = 3
# Attention heads inside a Bridger do not show in the weights; these are the released configurations'.
_HEADS = {"block": 4, "product": 8}


def _bridger_rows(config: BridgerConfig) -> list[Row]:
    rows = []
    for step in range(_STEPS):
        ours = f"bridgers.{step}."
        for name in ("zoom_in", "zoom_out"):
            # Where nothing follows the convolution, the official code keeps it bare, ours in a sequence of one.
            number = "" if config.zoom_norm else "0."
            rows.append(Row(f"{ours}{name}.{number}", f"bridger.{name}.{step}."))
        rows += [
            Row(f"{ours}words_in.", f"bridger.linear1.{step}."),
            Row(f"{ours}words_out.", f"bridger.linear2.{step}."),
            Row(f"{ours}pixel_norm.", f"bridger.ln_v.{step - 1}."),
            Row(f"{ours}word_norm.", f"bridger.ln_t.{step - 1}."),
        ]
        for name, theirs in (("pixel_interactor", "fusion_v"), ("word_interactor", "fusion_t")):
            rows += _interactor_rows(f"{ours}{name}.", f"bridger.{theirs}.{step}.")
    return rows


def _interactor_rows(ours: str, theirs: str) -> list[Row]:
    return [
        *packed_attention(f"{ours}self_attention.", f"{theirs}self_attn."),
        *packed_attention(f"{ours}cross_attention.", f"{theirs}multihead_attn."),
        Row(f"{ours}expand.", f"{theirs}linear1."),
        Row(f"{ours}contract.", f"{theirs}linear2."),
        Row(f"{ours}norm", f"{theirs}norm"),
    ]


def _neck_rows() -> list[Row]:
    rows = [
        Row("neck.text.", "neck.txt_proj."),
        Row("neck.aggregate.", "neck.aggr."),
        Row("neck.place.", "neck.coordconv.0.conv1."),
        Row("neck.settle.", "neck.coordconv.1."),
    ]
    for number in range(3):
        rows.append(Row(f"neck.projects.{number}.", f"neck.f{number + 3}_proj."))
        rows += packed_attention(f"neck.gates.{number}.", f"neck.fusion{number + 3}.multihead_attn.")
    return rows


def table(config: ETRISConfig) -> list[Row]:
    """The whole table of names for one configuration.

    Raises:
        WeightsError: a configuration that the official code does not have.
    """
    if (
        not isinstance(config.image, CLIPResNetConfig | CLIPViTConfig)
        or len(config.bridger.places) != _STEPS
        or not (config.bridger.zoom_in and config.bridger.zoom_out and config.neck.hierarchical)
        or config.decoder is None
        or config.presence
        or config.label
        or config.boxes is not None
        or config.projector.detail
        or config.text.reduced
        or config.text.width != config.neck.width
    ):
        raise WeightsError(
            "the official ETRIS has a CLIP, three Bridgers with learned zooming, both alignments, the whole "
            "vocabulary, words as wide as the neck, and no detail and no heads of ours; this model differs"
        )
    return [
        *prefixed(image_rows(config.image), ours="image_encoder.", theirs="backbone."),
        *prefixed(text_rows(config.text), ours="text_encoder.", theirs="backbone."),
        *_bridger_rows(config.bridger),
        *_neck_rows(),
        *decoder_rows(config.decoder.layers),
        *PROJECTOR_ROWS,
    ]


def config_of(official: Mapping[str, Any]) -> ETRISConfig:
    """The configuration that follows from an official checkpoint's names and shapes (`module.` and entries allowed).

    Raises:
        WeightsError: not a checkpoint of ETRIS.
    """
    checkpoint = Checkpoint(official, _WHAT)
    clip = checkpoint.clip()
    bridge, _ = checkpoint.shape("bridger.linear1.2.weight", 2)
    width = checkpoint.shape("neck.aggr.0.weight", 4)[0]
    names = checkpoint.state
    block = "bridger.fusion_v.0.linear1.weight" in names
    try:
        image = image_config(clip, "quick_gelu")
        text = text_config(clip, "quick_gelu")
        stages = (0, 1, 2) if isinstance(image, CLIPViTConfig) else (1, 2, 3)
        return ETRISConfig(
            image=image,
            text=text,
            bridger=BridgerConfig(
                places=tuple((stage, (step + 1) * text.layers // _STEPS) for step, stage in enumerate(stages)),
                width=bridge,
                interactor="block" if block else "product",
                heads=_HEADS["block" if block else "product"],
                feedforward=checkpoint.shape("bridger.fusion_v.0.linear1.weight", 2)[0] if block else 128,
                zoom_norm="bridger.zoom_in.0.1.weight" in names,
            ),
            neck=NeckConfig(stages=stages, width=width, heads=max(1, width // 64)),
            decoder=checkpoint.decoder(width),
            projector=checkpoint.projector(),
        )
    except ValidationError as error:
        raise checkpoint.error(error.errors()[0]["msg"]) from error


def from_official(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """An official checkpoint as a state dict of `ETRIS(config_of(official))`.

    Args:
        official: a state dict, or a checkpoint with the entry `state_dict` beside optimiser entries; names may carry
            DistributedDataParallel's `module.`.

    Raises:
        WeightsError: not an ETRIS checkpoint; names missing, left over or of another shape are listed.
    """
    config = config_of(official)
    with torch.device("meta"):
        wanted = ETRIS(config).state_dict()
    return to_ours(Checkpoint(official, _WHAT).state, wanted, table(config), "checkpoint of ETRIS")


def to_official(state: Mapping[str, Tensor], config: ETRISConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    return to_theirs(state, table(config))
