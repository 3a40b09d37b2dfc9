"""Seeded weights and inputs for UniRef++; they go with `unirefpp/*.npz`, outputs of the official code."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from seeded import uniform, uniform01
from seeded_magnet import MEAN, STD
from torch import Tensor

from referent.encoders.swin import relative_positions

_RING = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
_RESIDUAL = (
    "attn.proj.weight",
    "mlp.fc2.weight",
    "mlp.lin2.weight",
    "out_proj.weight",
    "output.dense.weight",
    "output_proj.weight",
)
_SHARP = ("in_proj_weight", "self.query.weight", "self.key.weight")
_ALIAS, _HEADS = "detr.detr.transformer.decoder.", ("class_embed.", "bbox_embed.")
_CANCELLING = (
    "detr.detr.input_proj.",
    "detr.detr.backbone.0.backbone.res",
    "detr.mask_head.",
    "detr.output_conv.",
    "detr.lateral_conv.",
    "detr.mask_conv.",
)


def fill(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """{official name: shape} -> {official name: tensor}; the two names of a head share one tensor."""
    filled = {}
    for name, shape in shapes.items():
        own = name.removeprefix(_ALIAS)
        kept = f"detr.detr.{own}" if name.startswith(_ALIAS) and own.startswith(_HEADS) else name
        filled[name] = tensor(seed, kept, tuple(shape))
    return filled


def tensor(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    for rule in (_of_the_detector, _of_the_fusion, _of_convolutions):
        tensor = rule(seed, name, shape)
        if tensor is not None:
            return tensor
    inside_relu = name.startswith(("detr.controller.", "value_encoder.")) or ".bbox_embed." in name or ".stem." in name
    inside_relu = inside_relu and ".block1.downsample" not in name
    return common(seed, name, shape, math.sqrt(2.0) if inside_relu else 1.0)


def _of_the_detector(seed: int, name: str, shape: tuple[int, ...]) -> Tensor | None:
    if name == "criterion._iter":
        return torch.zeros(shape)
    if name.endswith("level_embed"):
        return uniform(seed, name, shape, 0.5)
    if name.endswith("query_embed.weight"):
        return _slowly_varying_rows(seed, name, shape)
    if name == "detr.detr.transformer.enc_output.bias":  # keeps padding out of the best proposals
        away = uniform(seed, "detr.detr.class_embed.6.weight", (shape[0],), 0.1) * -1.0
        return away + uniform(seed, name, shape, 0.02)
    if name.startswith("detr.detr.class_embed."):
        if name.endswith(".weight"):
            return uniform(seed, name, shape, (3.0 if ".6." in name else 2.0) * shape[1] ** -0.5)
        return uniform(seed, name, shape, 0.05, -2.5)
    if name.startswith("detr.detr.bbox_embed.") and name.endswith(".layers.2.weight"):
        return uniform(seed, name, shape, 0.3 * shape[1] ** -0.5)
    if name == "detr.detr.bbox_embed.6.layers.2.bias":  # proposals start tiny
        return uniform(seed, name, shape, 0.05) + torch.tensor([0.0, 0.0, 1.5, 1.5])
    if name.startswith("detr.controller.layers.2."):
        return _controller(seed, name, shape)
    if ".transformer.decoder." in name and name.endswith("self_attn.out_proj.weight"):
        return common(seed, name, shape, 0.6)
    if ".transformer.decoder." in name and name.endswith("cross_attn.output_proj.weight"):
        return common(seed, name, shape, 2.0)
    return None


def _of_the_fusion(seed: int, name: str, shape: tuple[int, ...]) -> Tensor | None:
    if name.startswith("detr.fusion_module.adaLN_modulation.1."):
        return uniform(seed, name, shape, 0.8 * shape[1] ** -0.5 if len(shape) == 2 else 0.2)
    if name.endswith(("attn.q_proj.weight", "attn.k_proj.weight")) and "fusion_module" in name:
        return uniform(seed, name, shape, 1.7 * shape[1] ** -0.5)
    return None


def _of_convolutions(seed: int, name: str, shape: tuple[int, ...]) -> Tensor | None:
    if name.endswith("conv3.norm.weight") or (".layer" in name and name.endswith("bn2.weight")):
        return uniform(seed, name, shape, 0.05, 0.3)
    if name == "value_encoder.conv1.weight":
        weight = uniform(seed, name, shape, math.sqrt(2.0 / math.prod(shape[1:])))
        weight[:, 3] = weight[:, 3] * 2.0  # lets the mask be seen
        return weight
    cancelling = len(shape) == 4 and name.startswith(_CANCELLING)
    if cancelling or (name.endswith("linear2.weight") and ".transformer." in name):
        weight = common(seed, name, shape, math.sqrt(2.0))
        weight[:, 1::2] = -weight[:, 0::2]  # positive inputs add no common offset
        return weight
    if ".fuser" in name and ".conv2." in name and len(shape) == 4:
        return uniform(seed, name, shape, 0.5 * math.sqrt(2.0 / math.prod(shape[1:])))
    return None


def common(seed: int, name: str, shape: tuple[int, ...], gain: float) -> Tensor:
    if name.endswith("relative_position_index"):
        return relative_positions(round(shape[0] ** 0.5))
    if name.endswith("num_batches_tracked"):
        return torch.tensor(100, dtype=torch.long)
    if name.endswith("running_mean"):
        return uniform(seed, name, shape, 0.1)
    if name.endswith("running_var"):
        return torch.from_numpy((uniform01(seed, name, math.prod(shape)) + np.float32(0.5)).reshape(shape).copy())
    if ("embeddings." in name and len(shape) == 2) or name.endswith("relative_position_bias_table"):
        return uniform(seed, name, shape, 0.5)
    if name.endswith("sampling_offsets.bias"):
        ring = torch.tensor(_RING, dtype=torch.float32)[:, None, None]
        points = torch.arange(1, 5, dtype=torch.float32)[None, None, :, None]
        return (ring * points).expand(8, shape[0] // 64, 4, 2).reshape(-1) + uniform(seed, name, shape, 0.25)
    if name.endswith("sampling_offsets.weight"):
        return uniform(seed, name, shape, 0.5 * shape[1] ** -0.5)
    if len(shape) == 1:
        return uniform(seed, name, shape, *((0.15, 1.0) if name.endswith("weight") else (0.05, 0.0)))
    scale = gain * math.prod(shape[1:]) ** -0.5
    if name.endswith(_SHARP):
        scale *= 1.5
    if name.endswith(_RESIDUAL):
        scale *= 0.5
    return uniform(seed, name, shape, scale)


def _slowly_varying_rows(seed: int, name: str, shape: tuple[int, ...], every: int = 50) -> Tensor:
    """Queries whose neighbours are almost equal: two whose scores tie within rounding may swap without harm."""
    count, width = shape
    knots = uniform(seed, name, (count // every + 3, width), 1.2).numpy()
    knot, share = np.arange(count) // every, (np.arange(count) % every).astype(np.float32) * np.float32(1 / every)
    drift = knots[knot] * (np.float32(1) - share[:, None]) + knots[knot + 1] * share[:, None]
    return torch.from_numpy(knots[-1:] + drift * np.float32(0.2))


def _controller(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Rows 80 | 64 | 8 make weights, 8 | 8 | 1 biases; the first two inputs are distances in pixels."""
    row = torch.arange(shape[0])
    scale = torch.full((shape[0],), 0.35)
    scale[(row < 80) & (row % 10 < 2)] = 0.35 / 50
    scale[80:144], scale[144:152] = 0.5, 1.0
    weight = uniform(seed, name, shape, shape[1] ** -0.5 if len(shape) == 2 else 0.5)
    weight[145:152:2] = -weight[144:152:2]
    return weight * (scale[:, None] if len(shape) == 2 else scale)


def normalised(grey: Tensor) -> Tensor:
    """Grey levels, normalised with ImageNet's statistics."""
    mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (MEAN, STD))
    return (grey.float() - mean) / std


def box_mask(seed: int, name: str, height: int, width: int) -> Tensor:
    """(1, height, width) float: one rectangle, each side 25 to 55 % of the picture's."""
    u = uniform01(seed, name, 4)
    own_height, own_width = int(height * (0.25 + 0.3 * float(u[0]))), int(width * (0.25 + 0.3 * float(u[1])))
    y, x = int((height - own_height) * float(u[2])), int((width - own_width) * float(u[3]))
    mask = torch.zeros(1, height, width)
    mask[:, y : y + own_height, x : x + own_width] = 1
    return mask


def clip(seed: int, height: int, width: int, frames: int = 2, objects: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    """Boxes that move, later ones in front: normalised pictures (3, height, width), masks (objects, height, width)."""
    low = uniform01(seed, "video/low", 3 * 7 * 9).reshape(3, 7, 9) * np.float32(200)
    rows, columns = np.arange(height) * 7 // height, np.arange(width) * 9 // width
    noise = uniform01(seed, "video/noise", 3 * height * width).reshape(3, height, width) * np.float32(48)
    back = torch.from_numpy(np.floor(low[:, rows][:, :, columns] + noise).clip(0, 255).astype(np.uint8))
    pictures, masks = [], []
    for frame in range(frames):
        picture, mask = back.clone(), torch.zeros(objects, height, width)
        for number in range(objects):
            u = uniform01(seed, f"video/object{number}", 9)
            own_height, own_width = int(height * (0.3 + 0.2 * float(u[0]))), int(width * (0.25 + 0.2 * float(u[1])))
            y = int((height - own_height) * float(u[2])) + frame * (int(13 * float(u[4])) - 6)
            aside = 0.5 * number / max(1, objects - 1) + 0.5 * float(u[3])
            x = int((width - own_width) * aside) + frame * (int(17 * float(u[5])) - 8)
            window = (slice(max(0, y), min(height, y + own_height)), slice(max(0, x), min(width, x + own_width)))
            colour = torch.from_numpy((u[6:9] * np.float32(255)).astype(np.uint8))
            picture[:, window[0], window[1]] = colour[:, None, None]
            mask[:, window[0], window[1]] = 0
            mask[number, window[0], window[1]] = 1
        pictures.append(normalised(picture))
        masks.append(mask)
    return pictures, masks
