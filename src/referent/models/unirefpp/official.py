"""Checkpoints of the official UniRef++ code (FoundationVision/UniRef): their names to ours and back."""

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
from referent.encoders.resnet import ResNetConfig
from referent.encoders.resnet_weights import resnet_config
from referent.encoders.swin import SwinConfig, relative_positions
from referent.encoders.swin_weights import swin_config
from referent.errors import WeightsError, listed
from referent.models.unirefpp.config import DetectorConfig, FusionConfig, MaskEncoderConfig, UniRefConfig
from referent.models.unirefpp.model import UniRef
from referent.models.unirefpp.official_names import BACKBONE, table

_WHAT = "UniRef++ checkpoint"
_HEAD_WIDTH = 32  # of the released detector: 8 heads of 256 channels
_INDEX = "attn.relative_position_index"
# The heads are registered twice; these names stand for the same tensors as those without the middle part.
_ALIAS = re.compile(r"(detr\.detr\.)transformer\.decoder\.((?:class|bbox)_embed\..*)")
_HEAD = re.compile(r"(detr\.detr\.)((?:class|bbox)_embed\..*)")
# The counter of BoxInst's warm-up, and positions that older transformers store as numbers.
_DROPPED = re.compile(r"criterion\._iter|text_encoder\.embeddings\.position_ids")


def config_of(official: Mapping[str, Any]) -> UniRefConfig:
    """The configuration that follows from an official checkpoint's names and shapes.

    Numbers of attention heads in detector and text encoder do not show in the weights: the released widths of a head
    are assumed.

    Raises:
        WeightsError: not a checkpoint of UniRef++.
    """
    state = _tensors(official)
    image = _below(BACKBONE, state)
    try:
        width = state["detr.detr.transformer.level_embed"].shape[1]
        return UniRefConfig(
            image=swin_config(image) if "patch_embed.proj.weight" in image else resnet_config(image),
            width=width,
            text=bert_config(_below("text_encoder.", state)) if "resizer.fc.weight" in state else None,
            mask_encoder=_mask_encoder(state) if "value_encoder.conv1.weight" in state else None,
            fusion=_fusion(state, width),
            detector=_detector(state, width),
            pooler="text_encoder.pooler.dense.weight" in state,
        )
    except KeyError as error:
        raise WeightsError(f"not a {_WHAT}: missing {error.args[0]}") from error
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise WeightsError(f"not a {_WHAT}: {reason}") from error


def _fusion(state: Mapping[str, Tensor], width: int) -> FusionConfig:
    name = "detr.fusion_module.attn.q_proj.weight"
    return FusionConfig(heads=state[name].shape[0] // width) if name in state else FusionConfig()


def _detector(state: Mapping[str, Tensor], width: int) -> DetectorConfig:
    theirs = "detr.detr.transformer."
    heads, levels = max(1, width // _HEAD_WIDTH), state[f"{theirs}level_embed"].shape[0]
    layer = f"{theirs}decoder.layers.0."
    return DetectorConfig(
        encoder_layers=_count(state, rf"{re.escape(theirs)}encoder\.layers\.(\d+)\."),
        decoder_layers=_count(state, rf"{re.escape(theirs)}decoder\.layers\.(\d+)\."),
        heads=heads,
        points=state[f"{layer}cross_attn.attention_weights.bias"].shape[0] // (heads * levels),
        feedforward=state[f"{layer}linear1.bias"].shape[0],
        queries=state["detr.detr.query_embed.weight"].shape[0],
        classes=state["detr.detr.class_embed.0.bias"].shape[0],
    )


def _mask_encoder(state: Mapping[str, Tensor]) -> MaskEncoderConfig:
    small, width = state["value_encoder.fuser2.attention.ChannelGate.mlp.1.weight"].shape
    first, second, third, fourth = (_count(state, rf"value_encoder\.layer{stage}\.(\d+)\.") for stage in range(1, 5))
    return MaskEncoderConfig(
        depths=(first, second, third, fourth),
        width=state["value_encoder.conv1.weight"].shape[0],
        gate_reduction=width // small,
    )


def from_official(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """An official checkpoint as a state dict of `UniRef(config_of(official))`.

    Args:
        official: a state dict, or a checkpoint with the entry `model` beside others.

    Raises:
        WeightsError: not a UniRef++ checkpoint; names missing, left over, of another shape, or two names of one tensor
            that hold different ones are listed.
    """
    state, config = _tensors(official), config_of(official)
    wrong = [name for name, value in state.items() if name.endswith(_INDEX) and not _is_index(value, config)]
    if wrong:
        raise WeightsError(f"not a {_WHAT}: {wrong[0]} holds other positions than those of its window")
    twice = [name for name in state if (match := _ALIAS.fullmatch(name)) and not _same(state, name, match)]
    if twice:
        raise WeightsError(f"not a {_WHAT}: {listed(twice)}: other numbers than under the name without its middle part")
    missing = set(_indices(config)) - set(state)
    if missing:
        raise WeightsError(f"not a {_WHAT}: missing {listed(missing)}")
    read = {name: value for name, value in state.items() if not (name.endswith(_INDEX) or _ALIAS.fullmatch(name))}
    with torch.device("meta"):
        wanted = UniRef(config).state_dict()
    return to_ours(read, wanted, table(config), _WHAT)


def to_official(state: Mapping[str, Tensor], config: UniRefConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names, each head twice as there, without the counter of BoxInst.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    image, text = config.image, config.text
    if not isinstance(image, ResNetConfig | SwinConfig) or (
        text is not None and (not isinstance(text, BertConfig) or text.kept is not None)
    ):
        raise WeightsError(
            "the official UniRef++ has ResNet or Swin, and BERT with its whole vocabulary; this model differs"
        )
    theirs = to_theirs(state, table(config))
    twice = {_HEAD.sub(r"\1transformer.decoder.\2", name): value for name, value in theirs.items() if _HEAD.match(name)}
    return theirs | twice | {name: _index(config) for name in _indices(config)}


def _tensors(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict of a checkpoint under the official names, without what is dropped."""
    state = state_dict_in(checkpoint)
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd or not state:
        raise WeightsError(f"not a {_WHAT}: expected tensors, found {listed(odd) or 'nothing'}")
    return {name: value for name, value in state.items() if not _DROPPED.fullmatch(name)}


def _same(state: Mapping[str, Tensor], name: str, alias: re.Match[str]) -> bool:
    kept = state.get(alias[1] + alias[2])
    return kept is not None and torch.equal(kept, state[name])


def _is_index(value: Tensor, config: UniRefConfig) -> bool:
    return isinstance(config.image, SwinConfig) and torch.equal(value.cpu(), _index(config))


def _index(config: UniRefConfig) -> Tensor:
    assert isinstance(config.image, SwinConfig)
    return relative_positions(config.image.window)


def _indices(config: UniRefConfig) -> list[str]:
    """Names of the buffers that follow from the configuration."""
    depths = config.image.depths if isinstance(config.image, SwinConfig) else ()
    return [
        f"{BACKBONE}layers.{stage}.blocks.{block}.{_INDEX}"
        for stage, depth in enumerate(depths)
        for block in range(depth)
    ]


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})
