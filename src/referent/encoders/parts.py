"""The encoders in a weight file, whoever wrote it, under the names that a model gives them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from referent import weights
from referent.encoders.clip_weights import read_clip
from referent.encoders.foreign import read_foreign
from referent.encoders.mobilenet import from_folded
from referent.errors import WeightsError

IMAGE, TEXT = "image_encoder.", "text_encoder."
# By these names a file of one encoder alone is known: MobileNetV2's public folded form, and our text tower's own.
_FOLDED = {"stem.weight", "blocks.0.depthwise.weight"}
_TOWER = {"embedding.weight", "positions", "projection"}


def of_referent(source: Path) -> dict[str, Tensor] | None:
    """The encoders of one of referent's weight files, in its dtypes; None for any other file."""
    try:
        weights.read_header(source)
    except WeightsError:
        return None
    tensors = weights.read_tensors(source)
    return {name: value for name, value in tensors.items() if name.startswith((IMAGE, TEXT))}


def encoder_tensors(source: Path) -> dict[str, Tensor]:
    """The encoders of a weight file, in whatever form: `image_encoder.*`, `text_encoder.*`, or both.

    Args:
        source: a weight file of referent's, a CLIP, the public folded file of MobileNetV2, or a CLIP text encoder's own
            state dict.

    Raises:
        WeightsError: none of these.
    """
    ours = of_referent(source)
    if ours:
        return ours
    content = read_foreign(source)
    if content.keys() >= _FOLDED:
        return _under(IMAGE, from_folded(content))
    if content.keys() >= _TOWER:
        return _under(TEXT, content)
    clip = read_clip(source)
    return _under(IMAGE, clip.image_state) | _under(TEXT, clip.text_state)


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in state.items()}
