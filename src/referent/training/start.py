"""The weights a training starts from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from referent import weights, zoo
from referent.encoders.bert import BertEncoder
from referent.encoders.bert_weights import load_bert
from referent.encoders.clip_weights import load_clip_image, load_clip_text, read_clip
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import MobileNetV2, from_folded
from referent.encoders.swin import Swin
from referent.encoders.swin_weights import load_swin
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
        elif isinstance(encoder, Swin):
            load_swin(encoder, start.image)
        else:
            load_clip_image(encoder, read_clip(start.image))
    if start.text is not None:
        _fill_text(_part(model, "text_encoder", "start.text"), start.text)


def _fill_text(encoder: nn.Module, source: Path) -> None:
    """From a file of the encoder's own tensors, or as others write it."""
    own = read_foreign(source) if source.is_file() else {}
    if own.keys() == encoder.state_dict().keys():
        weights.load_into(encoder, own, source)
    elif isinstance(encoder, BertEncoder):
        load_bert(encoder, source)
    else:
        load_clip_text(encoder, read_clip(source))


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
