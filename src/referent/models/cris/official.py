"""Checkpoints of the official CRIS code (DerrickWang005/CRIS.pytorch): their names to ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.clip import CLIPResNetConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_weights import image_config, text_config
from referent.encoders.foreign import state_dict_in
from referent.encoders.keymap import Row, packed_attention, prefixed, to_ours, to_theirs
from referent.errors import WeightsError, listed
from referent.models.cris.config import CRISConfig, DecoderConfig, NeckConfig, ProjectorConfig
from referent.models.cris.model import CRIS

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
_PROJECTOR = [
    Row("projector.first.", "proj.vis.1."),
    Row("projector.second.", "proj.vis.3."),
    Row("projector.last.", "proj.vis.4."),
    Row("projector.to_kernel.", "proj.txt."),
]
_HEAD_WIDTH = 64  # the released decoder's: 8 heads of 512 channels


def _decoder_rows(layers: int) -> list[Row]:
    rows = [Row("decoder.norm.", "decoder.norm.")]
    for layer in range(layers):
        prefix = f"decoder.layers.{layer}."
        rows += packed_attention(f"{prefix}self_attention.", f"{prefix}self_attn.")
        rows += packed_attention(f"{prefix}cross_attention.", f"{prefix}multihead_attn.")
        rows += [
            Row(f"{prefix}norm", f"{prefix}norm"),
            Row(f"{prefix}self_attention_norm.", f"{prefix}self_attn_norm."),
            Row(f"{prefix}cross_attention_norm.", f"{prefix}cross_attn_norm."),
            Row(f"{prefix}expand.", f"{prefix}ffn.0."),
            Row(f"{prefix}feedforward_norm.", f"{prefix}ffn.3."),
            Row(f"{prefix}contract.", f"{prefix}ffn.4."),
        ]
    return rows


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
        *_decoder_rows(config.decoder.layers),
        *_PROJECTOR,
    ]


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of a checkpoint of the official code, or a bare one, under the official names."""
    state = state_dict_in(checkpoint)
    if not state:
        raise WeightsError("not a CRIS checkpoint: no state dict in it")
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise WeightsError(f"not a CRIS checkpoint: expected tensors, found other things: {listed(odd)}")
    return state


def _shape(state: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state or state[name].dim() != dimensions:
        raise WeightsError(f"not a CRIS checkpoint: no {name} of {dimensions} dimensions")
    return tuple(state[name].shape)


def config_of(official: Mapping[str, Any]) -> CRISConfig:
    """The configuration that follows from an official checkpoint's names and shapes (`module.` and entries allowed).

    The number of decoder heads does not show in the weights; the released code's 64 channels a head are assumed.

    Raises:
        WeightsError: not a checkpoint of CRIS.
    """
    state = _tensors(official)
    clip = {name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}
    if not clip:
        raise WeightsError("not a CRIS checkpoint: no name begins with backbone.")
    width, _, _, _ = _shape(state, "neck.f2_cat.0.weight", 4)
    try:
        return CRISConfig(
            image=image_config(clip, "quick_gelu"),
            text=text_config(clip, "quick_gelu"),
            neck=NeckConfig(
                channels=(
                    _shape(state, "neck.f3_v_proj.0.weight", 4)[0],
                    width,
                    _shape(state, "neck.f1_v_proj.0.weight", 4)[0],
                )
            ),
            decoder=DecoderConfig(
                layers=len({match[1] for name in state if (match := re.match(r"decoder\.layers\.(\d+)\.", name))}),
                heads=max(1, width // _HEAD_WIDTH),
                feedforward=_shape(state, "decoder.layers.0.ffn.0.weight", 2)[0],
            ),
            projector=ProjectorConfig(
                hidden=_shape(state, "proj.vis.1.0.weight", 4)[0],
                width=_shape(state, "proj.vis.3.0.weight", 4)[0],
            ),
        )
    except ValidationError as error:
        raise WeightsError(f"not a CRIS checkpoint: {error.errors()[0]['msg']}") from error


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
    return to_ours(_tensors(official), wanted, table(config), "CRIS checkpoint")


def to_official(state: Mapping[str, Tensor], config: CRISConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    return to_theirs(state, table(config))
