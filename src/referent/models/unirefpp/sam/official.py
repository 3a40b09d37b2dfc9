"""Checkpoints of the official UniFusion inside SAM (FoundationVision/UniRef): their names to ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.bert import BertConfig
from referent.encoders.bert_weights import bert_config
from referent.encoders.foreign import state_dict_in
from referent.encoders.keymap import to_ours, to_theirs
from referent.errors import WeightsError, listed
from referent.models.unirefpp.config import FusionConfig
from referent.models.unirefpp.sam.config import PATCH, CoarseMaskEncoderConfig, SamConfig, UniRefSamConfig
from referent.models.unirefpp.sam.model import UniRefSam
from referent.models.unirefpp.sam.official_names import table

_WHAT = "checkpoint of UniRef++'s SAM"
_DECODER_HEADS = 8  # SAM's; they do not show in the weights
# Positions that older transformers store as numbers.
_DROPPED = "model.text_encoder.embeddings.position_ids"


def config_of(official: Mapping[str, Any]) -> UniRefSamConfig:
    """The configuration that follows from an official checkpoint's names and shapes.

    Heads of the text encoder and of SAM's decoder do not show in the weights: the released ones are assumed.

    Raises:
        WeightsError: not a checkpoint of UniFusion inside SAM.
    """
    state = _tensors(official)
    try:
        sam = sam_config(_below("model.sam.", state))
        return UniRefSamConfig(
            sam=sam,
            text=bert_config(_below("model.text_encoder.", state)),
            mask_encoder=_mask_encoder(_below("model.value_encoder.", state)),
            fusion=FusionConfig(heads=state["model.fusion_module.attn.q_proj.weight"].shape[0] // sam.width),
            pooler="model.text_encoder.pooler.dense.weight" in state,
        )
    except KeyError as error:
        raise WeightsError(f"not a {_WHAT}: missing {error.args[0]}") from error
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise WeightsError(f"not a {_WHAT}: {reason}") from error


def sam_config(state: Mapping[str, Tensor]) -> SamConfig:
    """The SAM that Meta's names and shapes describe.

    Raises:
        KeyError: not a SAM; names what is missing.
    """
    pixels, channels = state["image_encoder.pos_embed"].shape[2:]
    layers = _count(state, r"image_encoder\.blocks\.(\d+)\.")
    tables = [state[f"image_encoder.blocks.{layer}.attn.rel_pos_h"] for layer in range(layers)]
    # A table has a row for each distance within a window, or within the whole picture.
    everywhere = tuple(layer for layer, rows in enumerate(tables) if len(rows) == 2 * pixels - 1)
    windows = [(len(rows) + 1) // 2 for layer, rows in enumerate(tables) if layer not in everywhere]
    decoder = "mask_decoder.transformer."
    return SamConfig(
        side=pixels * PATCH,
        channels=channels,
        layers=layers,
        heads=channels // tables[0].shape[1],
        feedforward=len(state["image_encoder.blocks.0.mlp.lin1.weight"]),
        window=windows[0] if windows else pixels,
        global_layers=everywhere,
        width=len(state["image_encoder.neck.0.weight"]),
        decoder_layers=_count(state, rf"{re.escape(decoder)}layers\.(\d+)\."),
        decoder_heads=_DECODER_HEADS,
        decoder_feedforward=len(state[f"{decoder}layers.0.mlp.lin1.weight"]),
        multimasks=len(state["mask_decoder.mask_tokens.weight"]) - 1,
        mask_channels=len(state["prompt_encoder.mask_downscaling.3.weight"]),
    )


def _mask_encoder(state: Mapping[str, Tensor]) -> CoarseMaskEncoderConfig:
    small, width = state["fuser.attention.ChannelGate.mlp.1.weight"].shape
    first, second, third = (_count(state, rf"layer{stage}\.(\d+)\.") for stage in range(1, 4))
    return CoarseMaskEncoderConfig(
        depths=(first, second, third), width=len(state["conv1.weight"]), gate_reduction=width // small
    )


def from_official(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """An official checkpoint as a state dict of `UniRefSam(config_of(official))`.

    Args:
        official: a state dict, or a checkpoint with the entry `model` beside others.

    Raises:
        WeightsError: not such a checkpoint; names missing, left over or of another shape are listed.
    """
    state, config = _tensors(official), config_of(official)
    with torch.device("meta"):
        wanted = UniRefSam(config).state_dict()
    return to_ours(state, wanted, table(config), _WHAT)


def to_official(state: Mapping[str, Tensor], config: UniRefSamConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    if not isinstance(config.text, BertConfig) or config.text.kept is not None:
        raise WeightsError("the official UniFusion inside SAM has BERT with its whole vocabulary; this model differs")
    return to_theirs(state, table(config))


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    state = state_dict_in(checkpoint)
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd or not state:
        raise WeightsError(f"not a {_WHAT}: expected tensors, found {listed(odd) or 'nothing'}")
    return {name: value for name, value in state.items() if name != _DROPPED}


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
