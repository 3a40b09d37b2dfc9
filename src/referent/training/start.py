"""The weights a training starts from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from referent import weights, zoo
from referent.encoders.clip_weights import load_clip_image, load_clip_text, read_clip
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import MobileNetV2, from_folded
from referent.errors import RecipeError, WeightsError
from referent.models.base import SegmentationModel
from referent.training.recipe import Start


def start_from(model: SegmentationModel, start: Start, family: str) -> None:
    """Fills `model` from the files that a recipe names, the whole first and then its parts.

    Args:
        model: changed in place.
        start: the files.
        family: key of `zoo.FAMILIES`.

    Raises:
        WeightsError: a file that cannot be used, or that is of another model.
        RecipeError: the model has no such part.
    """
    if start.weights is not None:
        weights.load_into(model, _whole(start.weights, family), start.weights)
    if start.clip is not None:
        both = read_clip(start.clip)
        load_clip_image(_part(model, "image_encoder", "start.clip"), both)
        load_clip_text(_part(model, "text_encoder", "start.clip"), both)
    if start.image is not None:
        encoder = _part(model, "image_encoder", "start.image")
        if isinstance(encoder, MobileNetV2):
            weights.load_into(encoder, from_folded(read_foreign(start.image)), start.image)
        else:
            load_clip_image(encoder, read_clip(start.image))
    if start.text is not None:
        encoder = _part(model, "text_encoder", "start.text")
        tensors = read_foreign(start.text)
        if tensors.keys() == encoder.state_dict().keys():
            weights.load_into(encoder, tensors, start.text)
        else:
            load_clip_text(encoder, read_clip(start.text))


def _whole(path: Path, family: str) -> dict[str, Tensor]:
    """The state dict in one of referent's files or in the authors' own checkpoint."""
    try:
        header, tensors = zoo.read(path)
    except WeightsError as ours:
        try:
            official: dict[str, Tensor] = zoo.FAMILIES[family].official.from_official(read_foreign(path))
        except WeightsError as theirs:
            raise WeightsError(f"{ours}; nor the authors' own: {theirs}") from theirs
        return official
    if header.family != family:
        raise WeightsError(f"{path}: expected weights of {family}, found {header.family}")
    return tensors


def _part(model: SegmentationModel, name: str, key: str) -> nn.Module:
    part = getattr(model, name, None)
    if not isinstance(part, nn.Module):
        raise RecipeError(f"{key}: {type(model).__name__} has no {name.replace('_', ' ')}")
    return part
