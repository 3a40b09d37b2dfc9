"""The tables of names: ours, those of the official UniFusion inside SAM, and the two under which SAM is known."""

from __future__ import annotations

from referent.encoders.bert import BertConfig
from referent.encoders.bert_weights import bert_rows
from referent.encoders.keymap import Row, prefixed
from referent.models.unirefpp.official_names import FUSION, TEXT, fuser_rows, mask_resnet_rows
from referent.models.unirefpp.sam.config import SamConfig, UniRefSamConfig


def table(config: UniRefSamConfig) -> list[Row]:
    """The whole table for one configuration; a text encoder that the official code lacks is missing from it."""
    rows = [
        *prefixed(sam_rows(config.sam), ours="sam.", theirs="sam."),
        *FUSION,
        *mask_resnet_rows(config.mask_encoder.depths),
        *fuser_rows("mask_encoder.fuser.", "value_encoder.fuser."),
    ]
    if isinstance(config.text, BertConfig):
        rows += [*prefixed(bert_rows(config.text), ours="text_encoder.", theirs="text_encoder."), *TEXT]
    return prefixed(rows, theirs="model.")


def sam_rows(config: SamConfig) -> list[Row]:
    """Names of `Sam` and of Meta's files, without prefix."""
    rows = [*_PROMPTS, *_DECODER]
    image = [
        Row("pos_embed", "pos_embed"),
        Row("patch_embed.projection.", "patch_embed.proj."),
        Row("neck.conv1.", "neck.0."),
        Row("neck.layer_norm1.", "neck.1."),
        Row("neck.conv2.", "neck.2."),
        Row("neck.layer_norm2.", "neck.3."),
    ]
    for layer in range(config.layers):
        ours, theirs = f"layers.{layer}.", f"blocks.{layer}."
        image += [Row(f"{ours}{part}", f"{theirs}{part}") for part in ("attn.", "mlp.")]
        image += [Row(f"{ours}layer_norm{number}.", f"{theirs}norm{number}.") for number in (1, 2)]
    rows += prefixed(image, ours="image_encoder.", theirs="image_encoder.")
    for layer in range(config.decoder_layers):
        prefix = f"mask_decoder.transformer.layers.{layer}."
        rows += [Row(prefix, prefix)]
        rows += [Row(f"{prefix}layer_norm{number}.", f"{prefix}norm{number}.") for number in range(1, 5)]
    for number in range(config.multimasks + 1):
        rows += _perceptron(f"mask_decoder.output_hypernetworks_mlps.{number}.")
    return rows


def transformers_rows() -> list[Row]:
    """Names of `Sam` and of a `transformers.SamModel`, whose two tables of pixels' places are one."""
    return [
        Row("image_encoder.", "vision_encoder."),
        Row("prompt_encoder.", "prompt_encoder."),
        Row("mask_decoder.", "mask_decoder."),
        Row("prompt_encoder.shared_embedding.", "shared_image_embedding."),
    ]


def _perceptron(prefix: str) -> list[Row]:
    """Three linear layers, the inner one of which transformers counts apart."""
    names = (("proj_in.", "layers.0."), ("layers.0.", "layers.1."), ("proj_out.", "layers.2."))
    return [Row(f"{prefix}{ours}", f"{prefix}{theirs}") for ours, theirs in names]


_PROMPTS = prefixed(
    [
        Row("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
        Row("point_embed.", "point_embeddings."),
        Row("not_a_point_embed.", "not_a_point_embed."),
        Row("no_mask_embed.", "no_mask_embed."),
        Row("mask_embed.conv1.", "mask_downscaling.0."),
        Row("mask_embed.layer_norm1.", "mask_downscaling.1."),
        Row("mask_embed.conv2.", "mask_downscaling.3."),
        Row("mask_embed.layer_norm2.", "mask_downscaling.4."),
        Row("mask_embed.conv3.", "mask_downscaling.6."),
    ],
    ours="prompt_encoder.",
    theirs="prompt_encoder.",
)
_DECODER = [
    *prefixed(
        [
            Row("iou_token.", "iou_token."),
            Row("mask_tokens.", "mask_tokens."),
            Row("transformer.final_attn_token_to_image.", "transformer.final_attn_token_to_image."),
            Row("transformer.layer_norm_final_attn.", "transformer.norm_final_attn."),
            Row("upscale_conv1.", "output_upscaling.0."),
            Row("upscale_layer_norm.", "output_upscaling.1."),
            Row("upscale_conv2.", "output_upscaling.3."),
        ],
        ours="mask_decoder.",
        theirs="mask_decoder.",
    ),
    *_perceptron("mask_decoder.iou_prediction_head."),
]
