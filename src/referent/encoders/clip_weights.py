"""CLIP's weights from any of the forms in which people have them.

* files of any form that `foreign.py` reads (OpenAI's `RN50.pt`, state dicts, safetensors);
* folders laid out like the hub's, and hub ids: open_clip's (`open_clip_model.safetensors`,
  `open_clip_config.json`) and transformers' (`model.safetensors`, `config.json`; ViTs only).

Which CLIP it is follows from the names and shapes, never from the file's name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import HEAD_WIDTH, Activation, CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.clip_names import image_rows, openai_from_transformers, text_rows
from referent.encoders.foreign import read_foreign, state_dict_in
from referent.encoders.keymap import prefixed, to_ours
from referent.encoders.located import locate
from referent.errors import WeightsError, listed
from referent.layers.position import resize_table

# Best first: safetensors before pickles, open_clip's name before the general one.
_FOLDER_FILES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
)
_CONFIG_FILES = ("open_clip_config.json", "config.json")
# Integers in OpenAI's archives and masks in some state dicts: facts about the model, not weights.
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
_CONNECT = "finish.connect."


@dataclass(frozen=True)
class CLIPWeights:
    """One CLIP, ready to be loaded into our encoders.

    Attributes:
        image, text: the configurations that follow from the file.
        image_state, text_state: our state dicts, float32. A ResNet's image state lacks `finish.connect.*`, the
            convolution around the attention pool that CRIS and ETRIS add.
    """

    image: CLIPResNetConfig | CLIPViTConfig
    text: CLIPTextConfig
    image_state: dict[str, Tensor]
    text_state: dict[str, Tensor]


def _activation(config: Path | None, state: Mapping[str, Tensor]) -> Activation:
    """What the configuration beside the weights says; files that come alone are taken to be OpenAI's."""
    if config is None:
        return "quick_gelu"
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        if "text_model.final_layer_norm.weight" in state:
            named = content.get("text_config", {}).get("hidden_act", "quick_gelu")
            quick = named == "quick_gelu"
        else:
            quick = bool(content.get("model_cfg", {}).get("quick_gelu", False))
    except (ValueError, AttributeError, OSError) as error:
        raise WeightsError(f"{config}: not a model configuration: {error}") from error
    return "quick_gelu" if quick else "gelu"


def read_clip(source: str | Path) -> CLIPWeights:
    """CLIP's weights from a file, a folder laid out like the hub's, or a hub id.

    Raises:
        WeightsError: not there, unsafe, damaged, not a CLIP, keys missing or left over; the message names them.
    """
    path, config = locate(source, _FOLDER_FILES, _CONFIG_FILES)
    state = state_dict_in(read_foreign(path))
    try:
        return clip_from_state(state, _activation(config, state))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def clip_from_state(state: Mapping[str, Any], activation: Activation = "quick_gelu") -> CLIPWeights:
    """CLIP's weights from a state dict under OpenAI's (also open_clip's) or transformers' names.

    Raises:
        WeightsError: not a CLIP, or names missing, left over or of another shape.
    """
    odd = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise WeightsError(f"expected tensors only, found other things: {listed(odd)}")
    if "text_model.final_layer_norm.weight" in state:
        state = openai_from_transformers(state)
    state = {name: value for name, value in state.items() if name.rpartition(".")[2] not in _NOT_WEIGHTS}
    image, text = image_config(state, activation), text_config(state, activation)
    with torch.device("meta"):
        image_encoder: nn.Module = CLIPViT(image) if isinstance(image, CLIPViTConfig) else CLIPResNet(image)
        wanted = {f"image.{name}": value for name, value in image_encoder.state_dict().items()}
        wanted |= {f"text.{name}": value for name, value in CLIPTextEncoder(text).state_dict().items()}
    has_connect = any(".attnpool.connect." in name for name in state)
    if not has_connect:
        wanted = {name: value for name, value in wanted.items() if not name.startswith(f"image.{_CONNECT}")}
    rows = prefixed(image_rows(image), ours="image.") + prefixed(text_rows(text), ours="text.")
    ours = to_ours(state, wanted, rows, "CLIP")
    return CLIPWeights(image, text, _under(ours, "image."), _under(ours, "text."))


def _under(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _shape(state: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise WeightsError(f"not a CLIP: missing {name} (found for example {listed(list(state)[:3]) or 'nothing'})")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions:
        raise WeightsError(f"not a CLIP: {name} is {shape}, expected {dimensions} dimensions")
    return shape


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for name in state if (match := re.match(pattern, name))})


def _grid(rows: int) -> int:
    return max(1, round(math.sqrt(max(0, rows - 1))))


def image_config(state: Mapping[str, Tensor], activation: Activation) -> CLIPResNetConfig | CLIPViTConfig:
    """The image encoder that a state dict under OpenAI's names describes."""
    try:
        if "visual.proj" in state:
            width, _, patch, _ = _shape(state, "visual.conv1.weight", 4)
            layers = _count(state, r"visual\.transformer\.resblocks\.(\d+)\.")
            if layers % 3:
                raise WeightsError(f"not a CLIP of ours: {layers} image layers do not divide into three stages")
            return CLIPViTConfig(
                patch=patch,
                width=width,
                depths=(layers // 3,) * 3,
                embed=_shape(state, "visual.proj", 2)[1],
                grid=_grid(_shape(state, "visual.positional_embedding", 2)[0]),
                activation=activation,
            )
        one, two, three, four = (_count(state, rf"visual\.layer{layer}\.(\d+)\.") for layer in (1, 2, 3, 4))
        return CLIPResNetConfig(
            blocks=(one, two, three, four),
            width=_shape(state, "visual.layer1.0.conv1.weight", 4)[0],
            embed=_shape(state, "visual.attnpool.c_proj.weight", 2)[0],
            grid=_grid(_shape(state, "visual.attnpool.positional_embedding", 2)[0]),
        )
    except ValidationError as error:
        raise WeightsError(f"not a CLIP: impossible image encoder: {error.errors()[0]['msg']}") from error


def text_config(state: Mapping[str, Tensor], activation: Activation) -> CLIPTextConfig:
    """The text encoder that a state dict under OpenAI's names describes."""
    try:
        vocabulary, width = _shape(state, "token_embedding.weight", 2)
        return CLIPTextConfig(
            vocabulary=vocabulary,
            width=width,
            layers=_count(state, r"transformer\.resblocks\.(\d+)\."),
            heads=max(1, width // HEAD_WIDTH),
            context=_shape(state, "positional_embedding", 2)[0],
            embed=_shape(state, "text_projection", 2)[1],
            activation=activation,
        )
    except ValidationError as error:
        raise WeightsError(f"not a CLIP: impossible text encoder: {error.errors()[0]['msg']}") from error


def load_clip_image(encoder: nn.Module, weights: CLIPWeights) -> None:
    """Load the image part. A ResNet's `finish.connect`, which CLIP lacks, keeps its random start.

    Positional tables of another grid are resized to the encoder's.

    Raises:
        WeightsError: the encoder is another CLIP's.
    """
    own = encoder.state_dict()
    state = dict(weights.image_state)
    for name in ("stem.positions", "finish.positions"):
        if name in state and name in own and state[name].shape != own[name].shape:
            state[name] = _regrid(state[name], own[name])
    for name in own:
        if name.startswith(_CONNECT):
            state.setdefault(name, own[name])
    _load(encoder, state, "image")


def load_clip_text(encoder: nn.Module, weights: CLIPWeights) -> None:
    """Load the text part.

    Raises:
        WeightsError: the encoder is another CLIP's.
    """
    _load(encoder, weights.text_state, "text")


def _regrid(table: Tensor, like: Tensor) -> Tensor:
    side = _grid(like.shape[0])
    return torch.cat((table[:1], resize_table(table[1:], side, side)))


def _load(encoder: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    own = encoder.state_dict()
    wrong = set(own) ^ set(state)
    wrong |= {name for name in set(own) & set(state) if own[name].shape != state[name].shape}
    if wrong:
        raise WeightsError(f"these CLIP weights are of another {what} encoder: {listed(wrong)} differ")
    encoder.load_state_dict(dict(state))
