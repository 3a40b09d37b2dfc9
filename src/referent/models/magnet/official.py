"""Checkpoints of the official MagNet code (yxchng/mask-grounding): their names to ours and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.bert import BertConfig
from referent.encoders.bert_weights import bert_config, bert_rows
from referent.encoders.keymap import Row, packed_attention, prefixed, to_ours, to_theirs
from referent.encoders.swin import SwinConfig, relative_positions
from referent.encoders.swin_weights import swin_config, swin_rows
from referent.errors import WeightsError, listed
from referent.models.magnet.config import MagNetConfig, MaskDecoderConfig, PixelDecoderConfig
from referent.models.magnet.model import MagNet
from referent.models.official import Checkpoint

_WHAT = "a MagNet checkpoint"
_INDEX = "attn.relative_position_index"
_HEAD_WIDTH = 32  # of the released decoders: 8 heads of 256 channels

# Weights of convolutions of size 1, which are linear layers of ours: name and number of trailing dimensions of 1.
_CONVOLUTIONS = (
    (re.compile(r"image_model\..*\.(vis_project|f_key|f_value|project_mm)\.0\.weight"), 1),
    (re.compile(r"language_model\.pwams\..*\.(f_query|f_key|f_value|W|project_mm)\.0\.weight"), 1),
    (re.compile(r"image_model\..*\.pyramids\.\d+\.[135]\.weight"), 2),
    (re.compile(r"classifier\.pixel_decoder\.mask_features\.weight"), 2),
)


def _pixel_word_rows(ours: str, theirs: str) -> list[Row]:
    return [
        Row(f"{ours}own.", f"{theirs}vis_project.0."),
        Row(f"{ours}query.", f"{theirs}image_lang_att.f_query.0."),
        Row(f"{ours}query_norm.", f"{theirs}image_lang_att.f_query.1."),
        Row(f"{ours}key.", f"{theirs}image_lang_att.f_key.0."),
        Row(f"{ours}value.", f"{theirs}image_lang_att.f_value.0."),
        Row(f"{ours}read.", f"{theirs}image_lang_att.W.0."),
        Row(f"{ours}read_norm.", f"{theirs}image_lang_att.W.1."),
        Row(f"{ours}out.", f"{theirs}project_mm.0."),
    ]


def _language_rows(ours: str, stage: int) -> list[Row]:
    rows = _pixel_word_rows(ours, f"language_model.pwams.{stage}.")
    return [*rows, Row(f"{ours}gate.", f"language_model.res_gates.{stage}.")]


def _alignment_rows(config: MagNetConfig, stages: int) -> list[Row]:
    rows: list[Row] = []
    for stage in range(stages):
        ours, theirs = f"alignments.{stage}.", f"image_model.layers.{stage}."
        rows += [
            *_pixel_word_rows(f"{ours}attention.", f"{theirs}fusion."),
            Row(f"{ours}mixer.", f"{theirs}mixer."),
            Row(f"{ours}gate.", f"{theirs}res_gate."),
            *_language_rows(f"{ours}language.", stage),
        ]
        for scale in range(len(config.pyramid)):
            rows += _pixel_word_rows(f"{ours}pooled_attentions.{scale}.", f"{theirs}fusions.{scale}.")
            # Theirs counts the pooling and the activation among the layers.
            rows += [
                Row(f"{ours}pooled.{scale}.{layer}.", f"{theirs}pyramids.{scale}.{number}.")
                for layer, number in ((0, 1), (1, 2), (2, 3), (4, 5))
            ]
        rows += [
            Row(f"unread.image_norms.{stage}.", f"image_model.norm{stage}."),
            Row(f"unread.word_norms.{stage}.", f"language_model.norms.{stage}."),
        ]
    return [
        *rows,
        Row("unread.gate.", f"image_model.layers.{stages - 1}.res_gate."),
        *_language_rows("unread.language.", stages - 1),
        Row("unread.classes.", "classifier.predictor.class_embed."),
    ]


def _pixel_decoder_rows(config: MagNetConfig, stages: int) -> list[Row]:
    theirs = "classifier.pixel_decoder."
    rows = [
        Row("pixel_decoder.levels", f"{theirs}transformer.level_embed"),
        Row("pixel_decoder.out.", f"{theirs}mask_features."),
    ]
    for level in range(stages):
        rows += [
            Row(f"pixel_decoder.inputs.{level}.", f"{theirs}input_proj.{level}.0."),
            Row(f"pixel_decoder.norms.{level}.", f"{theirs}input_proj.{level}.1."),
        ]
    for layer in range(config.pixel_decoder.layers):
        ours, below = f"pixel_decoder.layers.{layer}.", f"{theirs}transformer.encoder.layers.{layer}."
        rows += [
            Row(f"{ours}attention.offsets.", f"{below}self_attn.sampling_offsets."),
            Row(f"{ours}attention.weights.", f"{below}self_attn.attention_weights."),
            Row(f"{ours}attention.value.", f"{below}self_attn.value_proj."),
            Row(f"{ours}attention.out.", f"{below}self_attn.output_proj."),
            Row(f"{ours}norm", f"{below}norm"),
            Row(f"{ours}expand.", f"{below}linear1."),
            Row(f"{ours}contract.", f"{below}linear2."),
        ]
    return rows


def _mask_decoder_rows(config: MagNetConfig) -> list[Row]:
    theirs = "classifier.predictor."
    rows = [
        Row("mask_decoder.query", f"{theirs}query_feat.weight"),
        Row("mask_decoder.query_place", f"{theirs}query_embed.weight"),
        Row("mask_decoder.levels", f"{theirs}level_embed.weight"),
        Row("mask_decoder.norm.", f"{theirs}decoder_norm."),
        *(Row(f"mask_decoder.kernel.{2 * layer}.", f"{theirs}mask_embed.layers.{layer}.") for layer in range(3)),
    ]
    for layer in range(config.mask_decoder.layers):
        ours = f"mask_decoder.layers.{layer}."
        cross, own, ffn = (
            f"{theirs}transformer_{part}_layers.{layer}." for part in ("cross_attention", "self_attention", "ffn")
        )
        rows += [
            *packed_attention(f"{ours}cross_attention.", f"{cross}multihead_attn."),
            Row(f"{ours}norm1.", f"{cross}norm."),
            *packed_attention(f"{ours}self_attention.", f"{own}self_attn."),
            Row(f"{ours}norm2.", f"{own}norm."),
            Row(f"{ours}expand.", f"{ffn}linear1."),
            Row(f"{ours}contract.", f"{ffn}linear2."),
            Row(f"{ours}norm3.", f"{ffn}norm."),
        ]
    return rows


def table(config: MagNetConfig) -> list[Row]:
    """The whole table of names for one configuration.

    Raises:
        WeightsError: a configuration that the official code does not have.
    """
    if (
        config.module != "released"
        or not isinstance(config.image, SwinConfig)
        or not isinstance(config.text, BertConfig)
        or config.text.kept is not None
        or config.grounding != "none"
        or config.alignment is None
    ):
        raise WeightsError(
            "the official MagNet has the released module, Swin, BERT with its whole vocabulary, the alignment loss's "
            "projection and no grounding; this model differs"
        )
    stages = len(config.image.depths)
    return [
        *prefixed(swin_rows(config.image), ours="image_encoder.", theirs="image_model."),
        *prefixed(bert_rows(config.text), ours="text_encoder.", theirs="language_model."),
        *_alignment_rows(config, stages),
        *_pixel_decoder_rows(config, stages),
        *_mask_decoder_rows(config),
        Row("phrase.", "lang_proj."),
    ]


def _below(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def config_of(official: Mapping[str, Any]) -> MagNetConfig:
    """The configuration that follows from an official checkpoint's names and shapes.

    Numbers of heads and sizes of pooled maps do not show in the weights: the released ones are assumed.

    Raises:
        WeightsError: not a checkpoint of MagNet.
    """
    state = Checkpoint(official, _WHAT).state
    try:
        width = state["classifier.predictor.query_feat.weight"].shape[1]
        scales = _count(state, r"image_model\.layers\.0\.fusions\.(\d+)\.")
        pixel_layer = "classifier.pixel_decoder.transformer.encoder.layers.0."
        levels = state["classifier.pixel_decoder.transformer.level_embed"].shape[0]
        heads = max(1, width // _HEAD_WIDTH)
        return MagNetConfig(
            module="released",
            grounding="none",
            image=swin_config(_below("image_model.", state)),
            text=bert_config(_below("language_model.", state)),
            pyramid=MagNetConfig().pyramid[:scales],
            pixel_decoder=PixelDecoderConfig(
                width=width,
                layers=_count(state, r"classifier\.pixel_decoder\.transformer\.encoder\.layers\.(\d+)\."),
                heads=heads,
                points=state[f"{pixel_layer}self_attn.attention_weights.bias"].shape[0] // (heads * levels),
                feedforward=state[f"{pixel_layer}linear1.bias"].shape[0],
            ),
            mask_decoder=MaskDecoderConfig(
                layers=_count(state, r"classifier\.predictor\.transformer_ffn_layers\.(\d+)\."),
                heads=heads,
                feedforward=state["classifier.predictor.transformer_ffn_layers.0.linear1.bias"].shape[0],
            ),
        )
    except KeyError as error:
        raise WeightsError(f"not {_WHAT}: missing {error.args[0]}") from error
    except (ValidationError, ValueError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise WeightsError(f"not {_WHAT}: {reason}") from error


def from_official(official: Mapping[str, Any]) -> dict[str, Tensor]:
    """An official checkpoint as a state dict of `MagNet(config_of(official))`.

    Args:
        official: a state dict, or a checkpoint with the entry `model` beside others.

    Raises:
        WeightsError: not a MagNet checkpoint; names missing, left over or of another shape are listed.
    """
    state, config = Checkpoint(official, _WHAT).state, config_of(official)
    assert isinstance(config.image, SwinConfig)
    expected = relative_positions(config.image.window)
    wrong = [name for name in state if name.endswith(_INDEX) and not torch.equal(state[name].cpu(), expected)]
    if wrong:
        raise WeightsError(f"not {_WHAT}: {wrong[0]} holds other positions than those of its window")
    missing = set(_indices(config)) - set(state)
    if missing:
        raise WeightsError(f"not {_WHAT}: missing {listed(missing)}")
    squeezed = {
        name: value.reshape(value.shape[: value.dim() - ones]) if (ones := _ones(name)) else value
        for name, value in state.items()
        if not name.endswith(_INDEX)
    }
    with torch.device("meta"):
        wanted = MagNet(config).state_dict()
    return to_ours(squeezed, wanted, table(config), "MagNet checkpoint")


def to_official(state: Mapping[str, Tensor], config: MagNetConfig) -> dict[str, Tensor]:
    """Our state dict under the official code's names.

    Raises:
        WeightsError: a configuration or a name that the official code does not have.
    """
    theirs = to_theirs(state, table(config))
    shaped = {name: value.reshape(*value.shape, *(1,) * _ones(name)) for name, value in theirs.items()}
    assert isinstance(config.image, SwinConfig)
    return shaped | {name: relative_positions(config.image.window) for name in _indices(config)}


def _ones(name: str) -> int:
    """Dimensions of 1 that the official weight has behind ours."""
    return next((ones for pattern, ones in _CONVOLUTIONS if pattern.fullmatch(name)), 0)


def _indices(config: MagNetConfig) -> list[str]:
    """Names of the buffers that follow from the configuration."""
    assert isinstance(config.image, SwinConfig)
    return [
        f"image_model.layers.{stage}.blocks.{block}.{_INDEX}"
        for stage, depth in enumerate(config.image.depths)
        for block in range(depth)
    ]
