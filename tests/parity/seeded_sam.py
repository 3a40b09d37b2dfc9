"""Seeded weights for UniFusion inside SAM; they go with `unirefpp/unirefpp_sam_h.npz`, outputs of the official code."""

from collections.abc import Mapping, Sequence

import seeded_unirefpp
from seeded import uniform
from torch import Tensor

_TABLES = ("_token.weight", "_tokens.weight", "_embed.weight")


def fill(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, Tensor]:
    """{official name: shape} -> {official name: tensor}."""
    return {name: _tensor(seed, name.removeprefix("model."), tuple(shape)) for name, shape in shapes.items()}


def _tensor(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    if not name.startswith("sam."):
        # Seeded under the names that these parts have in UniRef++ itself.
        return seeded_unirefpp.tensor(seed, f"detr.{name}" if name.startswith("fusion_module.") else name, shape)
    if name.endswith("pos_embed") or "rel_pos_" in name:
        return uniform(seed, name, shape, 0.2)
    if name.endswith("positional_encoding_gaussian_matrix"):
        return uniform(seed, name, shape, 1.0)
    if name.endswith(_TABLES) or "point_embeddings" in name:
        return uniform(seed, name, shape, 0.5)
    if "output_upscaling" in name and len(shape) == 4:  # transposed, its stride its kernel
        return uniform(seed, name, shape, shape[0] ** -0.5)
    if "output_hypernetworks_mlps" in name and ".layers.2.weight" in name:
        return uniform(seed, name, shape, 3.0 * shape[1] ** -0.5)
    return seeded_unirefpp.common(seed, name, shape, 1.0)
