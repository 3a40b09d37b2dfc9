"""The weights a training starts from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from referent import adapters, weights, zoo
from referent.encoders.bert import BertEncoder
from referent.encoders.bert_weights import load_bert
from referent.encoders.clip_weights import load_clip_image, load_clip_text, read_clip
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import MobileNetV2, from_folded
from referent.encoders.parts import IMAGE, TEXT, of_referent
from referent.encoders.resnet import ResNet
from referent.encoders.resnet_weights import load_resnet
from referent.encoders.swin import Swin
from referent.encoders.swin_weights import load_swin
from referent.errors import RecipeError, WeightsError
from referent.models.base import SegmentationModel
from referent.models.unirefpp.mask_encoder import MaskResNet
from referent.models.unirefpp.mask_encoder_weights import load_torchvision
from referent.models.unirefpp.sam.anything import Sam
from referent.models.unirefpp.sam.weights import load_sam
from referent.training.recipe import Start
from referent.zoo.rows import LENT, POCKET


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
        source = _located(start.weights)
        tensors = _whole(source, family)
        if start.fresh:
            fresh = re.compile("|".join(start.fresh))
            tensors = {name: value for name, value in tensors.items() if not fresh.search(name)}
            tensors |= {name: value for name, value in model.state_dict().items() if fresh.search(name)}
        try:
            weights.load_into(model, tensors, source)
        except WeightsError as error:
            raise WeightsError(f"{error}; name in `start.fresh` the parts that shall begin at random") from error
    if start.clip is not None:
        both = read_clip(start.clip)
        load_clip_image(_part(model, "image_encoder", "start.clip"), both)
        load_clip_text(_part(model, "text_encoder", "start.clip"), both)
    if start.image is not None:
        _fill_image(_part(model, "image_encoder", "start.image"), _located(start.image))
    if start.mask is not None:
        encoder = _part(model, "mask_encoder", "start.mask")
        assert isinstance(encoder, MaskResNet)
        load_torchvision(encoder, start.mask)
    if start.sam is not None:
        load_sam(cast(Sam, _part(model, "sam", "start.sam")), start.sam)
    if start.text is not None:
        _fill_text(_part(model, "text_encoder", "start.text"), _located(start.text))


def bases(start: Start) -> dict[adapters.Part, Path]:
    """The files that an adapter belongs to, which starts so: from two encoders, or from an adapter of theirs.

    Raises:
        RecipeError: the weights that it starts from are a whole model.
        WeightsError: as `zoo.bases_at`.
    """
    if start.clip is not None:
        return {"both": start.clip}
    if start.image is not None and start.text is not None:
        return {"image_encoder": _located(start.image), "text_encoder": _located(start.text)}
    assert start.weights is not None
    found = zoo.bases_at(_located(start.weights))
    if not found:
        raise RecipeError(
            f"start.weights: {start.weights} is a whole model; `model.adapter` needs an adapter there, or beside it "
            "what the new one belongs to: `start.clip`, or `start.image` and `start.text`"
        )
    return found


def _located(source: Path) -> Path:
    """The file of a model in the package where its name is given, or one that the package lends."""
    if str(source) in LENT:
        return POCKET / source
    return zoo.find(str(source)) if str(source) in zoo.ROWS else source


def _fill_image(encoder: nn.Module, source: Path) -> None:
    """From a model of ours, or as others write it."""
    own = _under(IMAGE, source)
    if isinstance(encoder, MobileNetV2):
        tensors = own or from_folded(read_foreign(source))
        if isinstance(encoder.finish, nn.Identity):
            # The rest of the network is the same with and without DeepLab's head.
            tensors = {name: value for name, value in tensors.items() if not name.startswith("finish.")}
        weights.load_into(encoder, tensors, source)
    elif own:
        weights.load_into(encoder, own, source)
    elif isinstance(encoder, Swin):
        load_swin(encoder, source)
    elif isinstance(encoder, ResNet):
        load_resnet(encoder, source)
    else:
        load_clip_image(encoder, read_clip(source))


def _under(prefix: str, source: Path) -> dict[str, Tensor]:
    """The tensors of one encoder in a file of ours; none for any other file."""
    tensors = of_referent(source) if source.is_file() else None
    return {name.removeprefix(prefix): value for name, value in (tensors or {}).items() if name.startswith(prefix)}


def _fill_text(encoder: nn.Module, source: Path) -> None:
    """From a model of ours, a file of the encoder's own tensors, or as others write it."""
    own = _under(TEXT, source) or (read_foreign(source) if source.is_file() else {})
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
