"""Seeded weights and inputs: each tensor depends on (seed, name, shape) alone, so a fixture carries no weights.

Every tensor is made of the raw 64-bit stream of a PCG64 generator seeded with (seed, crc32(name)), with +, -, * on
float32 only, so its bytes are the same on every platform. The scales keep activations of order one and the masks mixed.
The outputs in `cris/*.npz` and `etris/*.npz` are those of the official code (DerrickWang005/CRIS.pytorch and
kkakkkka/ETRIS, MIT) with these weights.
"""

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

SOT, EOT = 49406, 49407


def uniform01(seed: int, name: str, count: int) -> np.ndarray:
    """`count` float32 numbers in [0, 1): the top 24 bits of PCG64(SeedSequence([seed, crc32(name)]))."""
    generator = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    return (generator.random_raw(count) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def uniform(seed: int, name: str, shape: Sequence[int], std: float, mean: float = 0.0) -> Tensor:
    """Uniform numbers of the given standard deviation, centred on `mean`."""
    u = uniform01(seed, name, math.prod(shape))
    values = (u * np.float32(2) - np.float32(1)) * np.float32(std * math.sqrt(3.0)) + np.float32(mean)
    return torch.from_numpy(values.astype(np.float32).reshape(tuple(shape)).copy())


def _transposed(name: str, etris: bool) -> bool:
    """Weights (in, out, k, k) whose stride is their kernel, so that every output has one tap."""
    starts = ("bridger.zoom_in.2", "bridger.zoom_out.0", "bridger.zoom_out.1", "neck.f5_proj.0.weight")
    return etris and name.startswith(starts)


def _tensor(seed: int, name: str, shape: tuple[int, ...], etris: bool) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(100, dtype=torch.long)
    if name.endswith("running_mean"):
        return uniform(seed, name, shape, 0.1)
    if name.endswith("running_var"):
        return torch.from_numpy((uniform01(seed, name, math.prod(shape)) + np.float32(0.5)).reshape(shape).copy())
    if name.endswith("logit_scale"):
        return torch.tensor(math.log(1 / 0.07), dtype=torch.float32)
    if "positional_embedding" in name or name.endswith("class_embedding"):
        return uniform(seed, name, shape, 0.2)
    if name.endswith("token_embedding.weight"):
        return uniform(seed, name, shape, 0.5)
    if name.endswith(("text_projection", "visual.proj")):
        return uniform(seed, name, shape, shape[0] ** -0.5)
    if len(shape) == 1 and name.endswith("weight"):
        last_of_a_branch = name.endswith("bn3.weight") and ".layer" in name
        return uniform(seed, name, shape, *((0.05, 0.3) if last_of_a_branch else (0.15, 1.0)))
    if len(shape) == 1:
        return uniform(seed, name, shape, 0.05)
    if len(shape) == 4:
        taps = shape[0] if _transposed(name, etris) else math.prod(shape[1:])
        weight = uniform(seed, name, shape, math.sqrt(2.0 / taps))
        if name == "proj.vis.4.weight":  # paired input channels cancel: logits near 0
            weight[:, 1::2] = -weight[:, 0::2]
        return weight
    if name == "proj.txt.weight":
        return uniform(seed, name, shape, 0.06 / math.sqrt(shape[1]))
    scale = shape[1] ** -0.5
    if name.endswith(("out_proj.weight", "c_proj.weight")):
        scale *= 0.5
    return uniform(seed, name, shape, scale)


def fill(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """{official name: shape} -> {official name: tensor}."""
    etris = any(name.startswith("bridger.") for name in shapes)
    return {name: _tensor(seed, name, tuple(shape), etris) for name, shape in shapes.items()}


def digest(state: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and bytes, in sorted order of names."""
    sha = hashlib.sha256()
    for name in sorted(state):
        sha.update(name.encode())
        sha.update(str(tuple(state[name].shape)).encode())
        sha.update(state[name].contiguous().numpy().tobytes())
    return sha.hexdigest()


def inputs(seed: int, batch: int, size: int, length: int) -> tuple[Tensor, Tensor]:
    """A normalised picture (patches and noise) (batch, 3, size, size), and token rows of varied length."""
    noise = torch.from_numpy(uniform01(seed, "image", batch * 3 * size * size).reshape(batch, 3, size, size).copy())
    low = torch.from_numpy(uniform01(seed, "image_low", batch * 3 * 13 * 13).reshape(batch, 3, 13, 13).copy())
    patches = torch.nn.functional.interpolate((low - 0.5) * 4.0, size=(size, size), mode="nearest")
    tokens = torch.zeros(batch, length, dtype=torch.long)
    for row in range(batch):  # the first short, the second full, the rest between
        words = {0: 4, 1: length - 2}.get(row, 1 + (row * 5) % (length - 2))
        ids = (uniform01(seed, f"tok{row}", words).astype(np.float64) * (49405 - 300)).astype(np.int64) + 300
        tokens[row, 0] = SOT
        tokens[row, 1 : 1 + words] = torch.from_numpy(ids)
        tokens[row, 1 + words] = EOT
    return ((noise - 0.5) * 2.0 + patches).contiguous(), tokens


def train_mask(seed: int, batch: int, size: int) -> Tensor:
    """(batch, 1, size, size): one box a row, 1 inside, 0.5 on the rim, 0 outside."""
    mask = torch.zeros(batch, 1, size, size)
    u = uniform01(seed, "mask", batch * 4).reshape(batch, 4)
    for row in range(batch):
        top, left = int(u[row, 0] * size * 0.5), int(u[row, 1] * size * 0.5)
        height, width = int(size * (0.2 + 0.3 * u[row, 2])), int(size * (0.2 + 0.3 * u[row, 3]))
        mask[row, 0, top : top + height, left : left + width] = 0.5
        mask[row, 0, top + 2 : top + height - 2, left + 2 : left + width - 2] = 1.0
    return mask
