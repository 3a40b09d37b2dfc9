"""BERT's weights and vocabulary in transformers' layout; from a file, a folder or the hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from referent.encoders.bert import BertConfig, BertEncoder
from referent.encoders.foreign import read_foreign, state_dict_in
from referent.encoders.keymap import Row, to_ours
from referent.encoders.located import locate
from referent.errors import WeightsError

_HEAD_WIDTH = 64
_FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
# The head of the pre-training, the pooler that phrases do not use, and positions stored as numbers.
_NOT_ENCODER = re.compile(r"(cls|pooler)\.|embeddings\.position_ids$")


def bert_rows(config: BertConfig) -> list[Row]:
    """Our names and transformers', without prefix."""
    rows = [
        Row("embedding.weight", "embeddings.word_embeddings.weight"),
        Row("positions", "embeddings.position_embeddings.weight"),
        Row("sentence", "embeddings.token_type_embeddings.weight"),
        Row("norm.", "embeddings.LayerNorm."),
    ]
    for layer in range(config.layers):
        ours, theirs = f"layers.{layer}.", f"encoder.layer.{layer}."
        rows += [
            Row(f"{ours}attention.query.", f"{theirs}attention.self.query."),
            Row(f"{ours}attention.key.", f"{theirs}attention.self.key."),
            Row(f"{ours}attention.value.", f"{theirs}attention.self.value."),
            Row(f"{ours}attention.out.", f"{theirs}attention.output.dense."),
            Row(f"{ours}norm1.", f"{theirs}attention.output.LayerNorm."),
            Row(f"{ours}expand.", f"{theirs}intermediate.dense."),
            Row(f"{ours}contract.", f"{theirs}output.dense."),
            Row(f"{ours}norm2.", f"{theirs}output.LayerNorm."),
        ]
    return rows


def bert_config(state: Mapping[str, Tensor]) -> BertConfig:
    """The BERT that transformers' names and shapes describe; heads do not show in them, and have 64 channels.

    Raises:
        KeyError: not a BERT; names what is missing.
    """
    vocabulary, width = state["embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocabulary=vocabulary,
        width=width,
        layers=len({match[1] for name in state if (match := re.match(r"encoder\.layer\.(\d+)\.", name))}),
        heads=max(1, width // _HEAD_WIDTH),
        feedforward=state["encoder.layer.0.intermediate.dense.weight"].shape[0],
        context=state["embeddings.position_embeddings.weight"].shape[0],
    )


def load_bert(encoder: BertEncoder, source: str | Path) -> None:
    """Fills `encoder` from a file, a folder laid out like the hub's, or a hub id.

    Raises:
        WeightsError: not there, unsafe, damaged, or of another BERT (another vocabulary, for example); the message
            names what differs.
    """
    path, _ = locate(source, _FOLDER_FILES)
    try:
        state = _encoder_names(state_dict_in(read_foreign(path)))
        encoder.load_state_dict(to_ours(state, encoder.state_dict(), bert_rows(encoder.config), "BERT of this size"))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def _encoder_names(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Without the prefix of models with a head, and with the names that norms have had since 2019."""
    renamed = {
        name.removeprefix("bert.")
        .replace("LayerNorm.gamma", "LayerNorm.weight")
        .replace("LayerNorm.beta", "LayerNorm.bias"): value
        for name, value in content.items()
        if isinstance(value, Tensor)
    }
    return {name: value for name, value in renamed.items() if not _NOT_ENCODER.match(name)}
