"""The table of names: ours, and those of the official UniRef++ code."""

from __future__ import annotations

from collections.abc import Sequence

from referent.encoders.bert import BertConfig
from referent.encoders.bert_weights import bert_rows
from referent.encoders.keymap import Row, packed_attention, prefixed
from referent.encoders.resnet import ResNetConfig
from referent.encoders.resnet_weights import resnet_rows
from referent.encoders.swin import SwinConfig
from referent.encoders.swin_weights import swin_rows
from referent.models.unirefpp.config import DetectorConfig, MaskEncoderConfig, UniRefConfig

BACKBONE = "detr.detr.backbone.0.backbone."
_DETR = "detr.detr."
_TRANSFORMER = "detr.detr.transformer."
_LEVELS = 4

_FIXED = (
    Row("inputs.", f"{_DETR}input_proj."),
    Row("encoder.levels", f"{_TRANSFORMER}level_embed"),
    Row("proposer.project.", f"{_TRANSFORMER}enc_output."),
    Row("proposer.norm.", f"{_TRANSFORMER}enc_output_norm."),
    Row("proposer.place.", f"{_TRANSFORMER}pos_trans."),
    Row("proposer.place_norm.", f"{_TRANSFORMER}pos_trans_norm."),
    Row("proposer.content", f"{_DETR}query_embed.weight"),
    Row("decoder.score.", f"{_DETR}class_embed."),
    Row("decoder.correct.", f"{_DETR}bbox_embed."),
    Row("mask_features.levels.0.", "detr.mask_head.lay3."),
    Row("mask_features.levels.1.", "detr.mask_head.lay4."),
    Row("mask_features.levels.2.", "detr.mask_head.jia_dcn."),
    Row("mask_features.narrow.", "detr.mask_head.lay1."),
    Row("mask_features.narrower.", "detr.mask_head.lay2."),
    Row("mask_features.lateral.", "detr.lateral_conv."),
    Row("mask_features.smooth.", "detr.output_conv."),
    Row("mask_features.out.", "detr.mask_conv."),
    Row("mask_head.controller.", "detr.controller."),
)
FUSION = (
    Row("fusion.feature_norm.", "fusion_module.norm_v."),
    Row("fusion.key_norm.", "fusion_module.norm_l."),
    Row("fusion.query.", "fusion_module.attn.q_proj."),
    Row("fusion.key.", "fusion_module.attn.k_proj."),
    Row("fusion.value.", "fusion_module.attn.v_proj."),
    Row("fusion.out.", "fusion_module.attn.out_proj."),
    Row("fusion.modulation.", "fusion_module.adaLN_modulation.1."),
)
TEXT = (
    Row("resizer.project.", "resizer.fc."),
    Row("resizer.norm.", "resizer.layer_norm."),
    Row("pooler.", "text_encoder.pooler.dense."),
)


def table(config: UniRefConfig) -> list[Row]:
    """The whole table for one configuration; parts that the official code could not have are missing from it."""
    rows = [*_FIXED, *_detector_rows(config.detector)]
    if isinstance(config.image, ResNetConfig):
        rows += prefixed(resnet_rows(config.image), ours="image_encoder.", theirs=BACKBONE)
    if isinstance(config.image, SwinConfig):
        rows += prefixed(swin_rows(config.image), ours="image_encoder.", theirs=BACKBONE)
        rows += [Row(f"norms.{stage}.", f"{BACKBONE}norm{stage}.") for stage in range(len(config.image.depths))]
    if isinstance(config.text, BertConfig):
        rows += [*prefixed(bert_rows(config.text), ours="text_encoder.", theirs="text_encoder."), *TEXT]
    if config.mask_encoder is not None:
        rows += _mask_encoder_rows(config.mask_encoder)
    return [*rows, *(prefixed(FUSION, theirs="detr.") if config.refers else ())]


def _detector_rows(config: DetectorConfig) -> list[Row]:
    last = config.decoder_layers
    rows = [
        Row("proposer.score.", f"{_DETR}class_embed.{last}."),
        Row("proposer.correct.", f"{_DETR}bbox_embed.{last}."),
    ]
    for layer in range(config.encoder_layers):
        ours, theirs = f"encoder.layers.{layer}.", f"{_TRANSFORMER}encoder.layers.{layer}."
        rows += [
            *_deformable_rows(f"{ours}attention.", f"{theirs}self_attn."),
            *_feedforward_rows(ours, theirs),
            *(Row(f"{ours}norm{number}.", f"{theirs}norm{number}.") for number in (1, 2)),
        ]
    for layer in range(config.decoder_layers):
        ours, theirs = f"decoder.layers.{layer}.", f"{_TRANSFORMER}decoder.layers.{layer}."
        rows += [
            *packed_attention(f"{ours}self_attention.", f"{theirs}self_attn."),
            *_deformable_rows(f"{ours}attention.", f"{theirs}cross_attn."),
            *_feedforward_rows(ours, theirs),
            # Theirs counts the norms in the order of their definition, ours in that of their use.
            *(Row(f"{ours}norm{own}.", f"{theirs}norm{other}.") for own, other in ((1, 2), (2, 1), (3, 3))),
        ]
    return rows


def _deformable_rows(ours: str, theirs: str) -> list[Row]:
    return [
        Row(f"{ours}offsets.", f"{theirs}sampling_offsets."),
        Row(f"{ours}weights.", f"{theirs}attention_weights."),
        Row(f"{ours}value.", f"{theirs}value_proj."),
        Row(f"{ours}out.", f"{theirs}output_proj."),
    ]


def _feedforward_rows(ours: str, theirs: str) -> list[Row]:
    return [Row(f"{ours}expand.", f"{theirs}linear1."), Row(f"{ours}contract.", f"{theirs}linear2.")]


def _mask_encoder_rows(config: MaskEncoderConfig) -> list[Row]:
    rows = [*mask_resnet_rows(config.depths), Row("mask_encoder.coarsest.", "value_encoder.final_layer.")]
    for level in range(_LEVELS):
        rows += fuser_rows(f"mask_encoder.fusers.{level}.", f"value_encoder.fuser{level + 2}.")
    return rows


def mask_resnet_rows(depths: Sequence[int]) -> list[Row]:
    """The ResNet inside a mask encoder."""
    rows = [Row("mask_encoder.stem.", "value_encoder.conv1."), Row("mask_encoder.stem_norm.", "value_encoder.bn1.")]
    for stage, depth in enumerate(depths):
        for block in range(depth):
            own, other = f"mask_encoder.stages.{stage}.{block}.", f"value_encoder.layer{stage + 1}.{block}."
            rows += [
                Row(f"{own}conv", f"{other}conv"),
                Row(f"{own}norm", f"{other}bn"),
                Row(f"{own}shortcut.", f"{other}downsample."),
            ]
    return rows


def fuser_rows(own: str, other: str) -> list[Row]:
    """One fuser of a mask encoder; both prefixes end with a dot."""
    rows = [
        Row(f"{own}gates.channel.0.", f"{other}attention.ChannelGate.mlp.1."),
        Row(f"{own}gates.channel.2.", f"{other}attention.ChannelGate.mlp.3."),
        Row(f"{own}gates.pixel.", f"{other}attention.SpatialGate.spatial.conv."),
    ]
    for ours, part in (("first", "block1"), ("second", "block2")):
        rows += [
            Row(f"{own}{ours}.conv", f"{other}{part}.conv"),
            Row(f"{own}{ours}.shortcut.", f"{other}{part}.downsample."),
        ]
    return rows
