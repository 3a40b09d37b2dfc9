"""CLIP's parameter names: OpenAI's against ours, and transformers' against OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.keymap import Row, packed_attention


def image_rows(config: CLIPResNetConfig | CLIPViTConfig) -> list[Row]:
    """Names of `CLIPResNet` or `CLIPViT` against OpenAI's (`visual.*`), both without a prefix."""
    return _vit_rows(config) if isinstance(config, CLIPViTConfig) else _resnet_rows(config)


def _resnet_rows(config: CLIPResNetConfig) -> list[Row]:
    rows = [Row("stem.", "visual."), Row("finish.positions", "visual.attnpool.positional_embedding")]
    for stage, count in enumerate(config.blocks):
        for block in range(count):
            ours, theirs = f"stages.{stage}.{block}.", f"visual.layer{stage + 1}.{block}."
            rows.append(Row(ours, theirs))
            rows.append(Row(f"{ours}shortcut.1.", f"{theirs}downsample.0."))
            rows.append(Row(f"{ours}shortcut.2.", f"{theirs}downsample.1."))
    attention = (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("out", "c_proj"))
    rows += [Row(f"finish.attention.{ours}.", f"visual.attnpool.{theirs}.") for ours, theirs in attention]
    return [*rows, Row("finish.connect.", "visual.attnpool.connect.")]


def _vit_rows(config: CLIPViTConfig) -> list[Row]:
    rows = [
        Row("stem.patches.", "visual.conv1."),
        Row("stem.class_token", "visual.class_embedding"),
        Row("stem.positions", "visual.positional_embedding"),
        Row("stem.norm.", "visual.ln_pre."),
        Row("finish.norm.", "visual.ln_post."),
        Row("finish.projection", "visual.proj"),
    ]
    number = 0
    for stage, depth in enumerate(config.depths):
        for block in range(depth):
            rows += _block_rows(f"stages.{stage}.blocks.{block}.", f"visual.transformer.resblocks.{number}.")
            number += 1
    return rows


def text_rows(config: CLIPTextConfig) -> list[Row]:
    """Names of `CLIPTextEncoder` against OpenAI's."""
    rows = [
        Row("embedding.", "token_embedding."),
        Row("positions", "positional_embedding"),
        Row("norm.", "ln_final."),
        Row("projection", "text_projection"),
        Row("logit_scale", "logit_scale"),
    ]
    for layer in range(config.layers):
        rows += _block_rows(f"layers.{layer}.", f"transformer.resblocks.{layer}.")
    return rows


def _block_rows(ours: str, theirs: str) -> list[Row]:
    return [
        Row(f"{ours}norm1.", f"{theirs}ln_1."),
        *packed_attention(f"{ours}attention.", f"{theirs}attn."),
        Row(f"{ours}norm2.", f"{theirs}ln_2."),
        Row(f"{ours}mlp.0.", f"{theirs}mlp.c_fc."),
        Row(f"{ours}mlp.2.", f"{theirs}mlp.c_proj."),
    ]


# transformers' CLIPModel: (pattern, OpenAI's name). q, k, v are packed afterwards; projections are transposed.
_TRANSFORMERS = [
    (r"text_model\.embeddings\.token_embedding\.weight", r"token_embedding.weight"),
    (r"text_model\.embeddings\.position_embedding\.weight", r"positional_embedding"),
    (r"text_model\.final_layer_norm\.(weight|bias)", r"ln_final.\1"),
    (r"text_projection\.weight", r"text_projection"),
    (r"visual_projection\.weight", r"visual.proj"),
    (r"logit_scale", r"logit_scale"),
    (r"vision_model\.embeddings\.class_embedding", r"visual.class_embedding"),
    (r"vision_model\.embeddings\.patch_embedding\.weight", r"visual.conv1.weight"),
    (r"vision_model\.embeddings\.position_embedding\.weight", r"visual.positional_embedding"),
    (r"vision_model\.pre_layrnorm\.(weight|bias)", r"visual.ln_pre.\1"),
    (r"vision_model\.post_layernorm\.(weight|bias)", r"visual.ln_post.\1"),
]
_TRANSFORMERS_BLOCK = [
    (r"self_attn\.(q|k|v)_proj\.(weight|bias)", r"attn.in_proj_\2#\1"),
    (r"self_attn\.out_proj\.(weight|bias)", r"attn.out_proj.\1"),
    (r"layer_norm(1|2)\.(weight|bias)", r"ln_\1.\2"),
    (r"mlp\.fc1\.(weight|bias)", r"mlp.c_fc.\1"),
    (r"mlp\.fc2\.(weight|bias)", r"mlp.c_proj.\1"),
]
_TOWERS = {"text_model": "transformer.resblocks", "vision_model": "visual.transformer.resblocks"}
_TRANSPOSED = ("text_projection", "visual.proj")


def _openai_name(name: str) -> str:
    block = re.fullmatch(r"(text_model|vision_model)\.encoder\.layers\.(\d+)\.(.+)", name)
    prefix, rest, rows = (
        (f"{_TOWERS[block[1]]}.{block[2]}.", block[3], _TRANSFORMERS_BLOCK) if block else ("", name, _TRANSFORMERS)
    )
    for pattern, replacement in rows:
        match = re.fullmatch(pattern, rest)
        if match:
            return prefix + match.expand(replacement)
    return name


def openai_from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' CLIP names to OpenAI's. A name that is not in the table is kept, so that the strict load names it.

    `*.position_ids`, a buffer that older files carry, is dropped.
    """
    renamed = {_openai_name(name): value for name, value in state.items() if not name.endswith(".position_ids")}
    openai: dict[str, Tensor] = {}
    for name, value in renamed.items():
        base, hash_sign, which = name.partition("#")
        if not hash_sign:
            openai[name] = value.T if name in _TRANSPOSED else value
        elif which == "q" and all(f"{base}#{part}" in renamed for part in "kv"):
            openai[base] = torch.cat([renamed[f"{base}#{part}"] for part in "qkv"])
    return openai
