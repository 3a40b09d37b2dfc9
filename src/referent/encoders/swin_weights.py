"""Swin's weights from any of the forms in which people have them.

Microsoft's own files (`swin_base_patch4_window12_384_22k.pth`), those of detectors, and transformers' layout; from a
file, a folder or the hub.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from referent.encoders.foreign import read_foreign, state_dict_in
from referent.encoders.keymap import Row, to_ours
from referent.encoders.located import locate
from referent.encoders.swin import Swin, SwinConfig
from referent.errors import WeightsError
from referent.layers.position import resize_table

_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
_WRAPPERS = ("swin.", "backbone.", "encoder.")
_TABLE = "attention.position_bias"
# What follows from the configuration, and what only a classifier or a detector reads.
_NOT_ENCODER = re.compile(
    r"(.*\.)?(relative_position_index|attn_mask)$|(norm\d?|head|layernorm|classifier)\.(weight|bias)$"
)
_FROM_TRANSFORMERS = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^encoder\.layers\.", "layers."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.attention\.self\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
)


def swin_rows(config: SwinConfig) -> list[Row]:
    """Our names and Microsoft's, without prefix."""
    rows = [Row("stem.project.", "patch_embed.proj."), Row("stem.norm.", "patch_embed.norm.")]
    for stage, depth in enumerate(config.depths):
        if stage:
            rows += [
                Row(f"stages.{stage}.merge.norm.", f"layers.{stage - 1}.downsample.norm."),
                Row(f"stages.{stage}.merge.reduce.", f"layers.{stage - 1}.downsample.reduction."),
            ]
        for block in range(depth):
            ours, theirs = f"stages.{stage}.blocks.{block}.", f"layers.{stage}.blocks.{block}."
            rows += [
                Row(f"{ours}norm", f"{theirs}norm"),
                Row(f"{ours}{_TABLE}", f"{theirs}attn.relative_position_bias_table"),
                Row(f"{ours}attention.qkv.", f"{theirs}attn.qkv."),
                Row(f"{ours}attention.out.", f"{theirs}attn.proj."),
                Row(f"{ours}mlp.0.", f"{theirs}mlp.fc1."),
                Row(f"{ours}mlp.2.", f"{theirs}mlp.fc2."),
            ]
    return rows


def swin_config(state: Mapping[str, Tensor]) -> SwinConfig:
    """The Swin that Microsoft's names and shapes describe; `drop_path` does not show in them.

    Raises:
        WeightsError: not a Swin.
    """
    try:
        width, _, patch, _ = state["patch_embed.proj.weight"].shape
        depths: list[int] = []
        heads: list[int] = []
        while any(name.startswith(f"layers.{len(depths)}.") for name in state):
            stage = f"layers.{len(depths)}.blocks"
            table = state[f"{stage}.0.attn.relative_position_bias_table"]
            depths.append(len({name.split(".")[3] for name in state if name.startswith(f"{stage}.")}))
            heads.append(table.shape[1])
        window = (round(table.shape[0] ** 0.5) + 1) // 2
        return SwinConfig(patch=patch, width=width, depths=tuple(depths), heads=tuple(heads), window=window)
    except (KeyError, ValueError, UnboundLocalError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"missing or odd {error}"
        raise WeightsError(f"not a Swin: {reason}") from error


def load_swin(encoder: Swin, source: str | Path) -> None:
    """Fills `encoder` from a file, a folder laid out like the hub's, or a hub id.

    Tables of relative positions of another window size are resized (bicubic).

    Raises:
        WeightsError: not there, unsafe, damaged, or of another Swin; the message names what differs.
    """
    path, _ = locate(source, _FOLDER_FILES)
    try:
        encoder.load_state_dict(_fitting(encoder, state_dict_in(read_foreign(path))))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def _fitting(encoder: Swin, content: Mapping[str, Any]) -> dict[str, Tensor]:
    """A state dict of `encoder` from one under Microsoft's or transformers' names."""
    state = _microsoft_names({name: value for name, value in content.items() if isinstance(value, Tensor)})
    found = swin_config(state)
    same = found.model_copy(update={"window": encoder.config.window, "drop_path": encoder.config.drop_path})
    if same != encoder.config:
        raise WeightsError(f"expected {encoder.config}, found {found}")
    with torch.device("meta"):
        wanted = Swin(found).state_dict()
    ours = to_ours(state, wanted, swin_rows(found), "Swin")
    side = 2 * encoder.config.window - 1
    return {name: resize_table(value, side, side) if name.endswith(_TABLE) else value for name, value in ours.items()}


def _microsoft_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without wrappers' prefixes, transformers' parts packed, and without what is no part of the encoder."""
    for prefix in _WRAPPERS:
        stem = ("patch_embed.proj.weight", "embeddings.patch_embeddings.projection.weight")
        if any(prefix + name in state for name in stem):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    if "embeddings.patch_embeddings.projection.weight" in state:
        state = _from_transformers(state)
    return {name: value for name, value in state.items() if not _NOT_ENCODER.match(name)}


def _from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        for pattern, theirs in _FROM_TRANSFORMERS:
            name = re.sub(pattern, theirs, name)
        renamed[name] = value
    packed: dict[str, Tensor] = {}
    for name, value in renamed.items():
        match = re.fullmatch(r"(.*\.attn\.)(query|key|value)(\.(?:weight|bias))", name)
        if match is None:
            packed[name] = value
        elif match[2] == "query":
            parts = [renamed[f"{match[1]}{part}{match[3]}"] for part in ("query", "key", "value")]
            packed[f"{match[1]}qkv{match[3]}"] = torch.cat(parts)
    return packed
