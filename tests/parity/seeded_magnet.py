"""Seeded weights and inputs for MagNet, in two ways that no file of weights is needed for.

`fill`, `rgb` and `bert_ids` go with `magnet/magnet.npz`, outputs of the official code (yxchng/mask-grounding) at 480
pixels. `golden_fill`, `golden_image` and `GOLDEN_TOKENS` go with `magnet/golden.json`, statistics at 200 x 264.
"""

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from seeded import uniform, uniform01
from torch import Tensor

from referent.encoders.swin import relative_positions

GATES = "language_model.res_gates."
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet's, of grey levels
_RING = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_RESIDUAL = ("attn.proj.weight", "mlp.fc2.weight", "out_proj.weight", "output.dense.weight", "output_proj.weight")
_EMBEDDINGS = ("level_embed", "level_embed.weight", "query_feat.weight", "query_embed.weight")


def fill(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """{official name: shape} -> {official name: tensor}."""
    return {name: _tensor(seed, name, tuple(shape)) for name, shape in shapes.items()}


def _tensor(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("relative_position_index"):
        return relative_positions(round(shape[0] ** 0.5))
    if name.endswith(_EMBEDDINGS) or ("embeddings." in name and len(shape) == 2):
        return uniform(seed, name, shape, 0.5)
    if name.endswith("relative_position_bias_table"):
        return uniform(seed, name, shape, 0.5)
    if name.endswith("mask_embed.layers.2.weight"):  # of forty streams the one that balances the masks
        return uniform(seed, name + "/9", shape, 0.25 * shape[1] ** -0.5)
    if name.endswith("sampling_offsets.bias"):
        ring = torch.tensor(_RING, dtype=torch.float32)[:, None, None]
        points = torch.arange(1, 5, dtype=torch.float32)[None, None, :, None]
        return (ring * points).expand(8, shape[0] // 64, 4, 2).reshape(-1) + uniform(seed, name, shape, 0.25)
    if name.endswith("sampling_offsets.weight"):
        return uniform(seed, name, shape, 0.5 * shape[1] ** -0.5)
    if len(shape) == 1:
        return uniform(seed, name, shape, *((0.15, 1.0) if name.endswith("weight") else (0.05, 0.0)))
    scale = 1.2 * math.prod(shape[1:]) ** -0.5
    if name.endswith(("in_proj_weight", "self.query.weight", "self.key.weight")):
        scale *= 1.5
    if name.endswith(_RESIDUAL):
        scale *= 0.5
    weight = uniform(seed, name, shape, scale)
    into = ".input_proj." in name and len(shape) == 4
    if ".pixel_decoder." in name and (into or name.endswith("linear2.weight")):
        weight[:, 1::2] = -weight[:, 0::2]  # positive inputs add no common offset
    return weight


def rgb(seed: int, name: str, height: int, width: int) -> Tensor:
    """(3, height, width): coloured patches and noise, normalised with ImageNet's statistics."""
    low = uniform01(seed, name + "/low", 3 * 7 * 9).reshape(3, 7, 9) * np.float32(200)
    y, x = np.arange(height) * 7 // height, np.arange(width) * 9 // width
    noise = uniform01(seed, name + "/noise", 3 * height * width).reshape(3, height, width) * np.float32(48)
    grey = torch.from_numpy(np.floor(low[:, y][:, :, x] + noise).clip(0, 255).astype(np.uint8))
    mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (MEAN, STD))
    return (grey.float() - mean) / std


def bert_ids(seed: int, name: str, words: int, length: int) -> Tensor:
    """(length,) ids: [CLS], words, [SEP], zeros."""
    body = (uniform01(seed, name, words).astype(np.float64) * (30522 - 1000)).astype(np.int64) + 1000
    ids = torch.zeros(length, dtype=torch.long)
    ids[0], ids[words + 1] = 101, 102
    ids[1 : words + 1] = torch.from_numpy(body)
    return ids


def golden_fill(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """{official name: shape} -> {official name: tensor}, by 64-bit mixing of element number and name."""
    return {name: _golden(name, tuple(shape)) for name, shape in shapes.items()}


def _golden(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("relative_position_index"):
        return relative_positions(round(shape[0] ** 0.5))
    s = torch.from_numpy(_mixed(name, math.prod(shape)).reshape(shape))
    if len(shape) == 1:
        s = 1 + 0.1 * s if name.endswith(".weight") else 0.05 * s
    elif "embeddings." in name or any(
        part in name for part in ("relative_position_bias_table", "level_embed", "query_feat", "query_embed")
    ):
        s = 0.5 * s
    elif name.endswith("sampling_offsets.weight"):
        s = s / math.sqrt(256)
    else:
        s = 1.2 * s / math.sqrt(math.prod(shape[1:]))
    return s.float()


def _mixed(name: str, count: int) -> np.ndarray:
    """`count` float64 numbers of variance 1, uniform."""
    key = zlib.crc32(name.encode()) * 0xD1B54A32D192ED03 % 2**64
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    z >>= np.uint64(11)
    return (z.astype(np.float64) * 2.0**-52 - 1) * math.sqrt(3)


def golden_image() -> Tensor:
    """(1, 3, 200, 264): slow waves."""
    c = torch.arange(1, 4, dtype=torch.float64)[:, None, None]
    i = torch.arange(200, dtype=torch.float64)[:, None]
    j = torch.arange(264, dtype=torch.float64)
    waves = torch.sin(0.031 * c * i + 0.3 * c) + torch.cos(0.023 * c * j - 0.2 * c) + torch.sin(0.0007 * i * j)
    return waves.float()[None]


_RED_SHIRT = (101, 1996, 2158, 1999, 2417, 3797)  # [CLS] the man in red shirt
_LONGER = (2006, 1996, 2187, 3875, 2279, 2000, 1037, 2304, 4937, 1998, 2048, 2808, 4981, 102)
GOLDEN_TOKENS = {"A": [*_RED_SHIRT, 102, *[0] * 13], "B": [*_RED_SHIRT, *_LONGER], "C": [*_RED_SHIRT, 102, *[0] * 13]}
"""Phrases of the sets; B has no padding. A goes with language gates that are zero, B and C with open ones."""
