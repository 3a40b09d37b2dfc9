"""referent: segments, in a picture or a video, what a reference points at.

    import referent as rf

    model = rf.load("cris-pocket")
    answer = model.segment("street.jpg", "the woman with the red bag")
    answer.overlay().save("look.png")

Names are loaded when they are first used, so that `import referent` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from referent.asking import AnyLook, AnySegmenter
    from referent.errors import (
        BadReferenceError,
        DataError,
        PictureError,
        RecipeError,
        ReferentError,
        TrainingError,
        VideoError,
        WeightsError,
    )
    from referent.reference import Example, Phrase, Reference
    from referent.segmentation import Segmentation, overlay
    from referent.segmenter import Failure, Look, Segmenter, load
    from referent.tracker import Tracker
    from referent.video import Frame, Video, VideoWriter, read_video
    from referent.zoo import list_models

_HOME = {
    "AnyLook": "referent.asking",
    "AnySegmenter": "referent.asking",
    "BadReferenceError": "referent.errors",
    "DataError": "referent.errors",
    "Example": "referent.reference",
    "Failure": "referent.segmenter",
    "Frame": "referent.video",
    "Look": "referent.segmenter",
    "Phrase": "referent.reference",
    "PictureError": "referent.errors",
    "RecipeError": "referent.errors",
    "Reference": "referent.reference",
    "ReferentError": "referent.errors",
    "Segmentation": "referent.segmentation",
    "Segmenter": "referent.segmenter",
    "Tracker": "referent.tracker",
    "TrainingError": "referent.errors",
    "Video": "referent.video",
    "VideoError": "referent.errors",
    "VideoWriter": "referent.video",
    "WeightsError": "referent.errors",
    "list_models": "referent.zoo",
    "load": "referent.segmenter",
    "overlay": "referent.segmentation",
    "read_video": "referent.video",
}

__version__ = "0.1.0"
__all__ = [
    "AnyLook",
    "AnySegmenter",
    "BadReferenceError",
    "DataError",
    "Example",
    "Failure",
    "Frame",
    "Look",
    "Phrase",
    "PictureError",
    "RecipeError",
    "Reference",
    "ReferentError",
    "Segmentation",
    "Segmenter",
    "Tracker",
    "TrainingError",
    "Video",
    "VideoError",
    "VideoWriter",
    "WeightsError",
    "list_models",
    "load",
    "overlay",
    "read_video",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
