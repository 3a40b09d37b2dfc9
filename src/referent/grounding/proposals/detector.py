"""Proposals of any detector that `transformers` can load."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from referent.encoders.library import transformers_library
from referent.errors import WeightsError
from referent.grounding.proposals.base import Candidate, Proposals

if TYPE_CHECKING:
    from PIL import Image

    from referent.reference import PictureSource

MIN_SCORE = 0.5
"""The paper's, of UniDet (section 4.3); detectors asked in words are less sure of themselves and take a lower one."""
LABELS = ("object",)


class DetectorProposals:
    """A detector of the DETR family, or one that is asked in words (OWL-ViT, OWLv2, Grounding DINO).

    Needs the extra `referent[detect]`.

    Args:
        name: hub id or local folder.
        min_score: boxes below are left out.
        labels: what a detector that is asked in words is asked for.
        device: where to run.

    Raises:
        WeightsError: transformers is not installed, or cannot load it as a detector.
    """

    def __init__(
        self,
        name: str | Path,
        min_score: float = MIN_SCORE,
        labels: Sequence[str] = LABELS,
        device: torch.device | str = "cpu",
    ) -> None:
        self.name = str(name)
        self.min_score, self.labels, self.device = min_score, list(labels), torch.device(device)
        transformers = transformers_library(self.name)
        try:
            config = transformers.AutoConfig.from_pretrained(name)
            zero_shot = type(config) in transformers.AutoModelForZeroShotObjectDetection._model_mapping
            kind = "AutoModelForZeroShotObjectDetection" if zero_shot else "AutoModelForObjectDetection"
            processor = transformers.AutoProcessor if zero_shot else transformers.AutoImageProcessor
            self._model: Any = getattr(transformers, kind).from_pretrained(name).eval().to(self.device)
            self._processor: Any = processor.from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise unloadable(self.name, "a detector", error) from error
        self._asked_in_words = zero_shot

    def propose(self, picture: Image.Image, source: PictureSource) -> Proposals:
        """See `ProposalSource.propose`."""
        size = (picture.height, picture.width)
        with torch.inference_mode():
            found = self._in_words(picture, size) if self._asked_in_words else self._all_classes(picture, size)
        return Proposals.of([_candidate(corners) for corners in found["boxes"].tolist()], size)

    def _all_classes(self, picture: Image.Image, size: tuple[int, int]) -> Any:
        inputs = self._processor(images=picture, return_tensors="pt").to(self.device)
        outputs = self._model(**inputs)
        return self._processor.post_process_object_detection(outputs, threshold=self.min_score, target_sizes=[size])[0]

    def _in_words(self, picture: Image.Image, size: tuple[int, int]) -> Any:
        inputs = self._processor(images=picture, text=[self.labels], return_tensors="pt").to(self.device)
        outputs = self._model(**inputs)
        return self._processor.post_process_grounded_object_detection(
            outputs, threshold=self.min_score, target_sizes=[size]
        )[0]


def unloadable(name: str, what: str, error: Exception) -> WeightsError:
    """What to say of a model that transformers does not load."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return WeightsError(f"{name}: expected {what} that transformers can load (hub id or folder): {reason}")


def _candidate(corners: Sequence[float]) -> Candidate:
    left, top, right, bottom = corners
    return Candidate((left, top, right - left, bottom - top))
