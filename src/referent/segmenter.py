"""Picture and reference in, segmentation out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from referent import hub, weights, zoo
from referent.asking import CACHE_BYTES, AnyLook, AnySegmenter, Failure
from referent.engine import CHUNK, Encoded, Engine, dtype_of
from referent.errors import WeightsError
from referent.files import atomic_write
from referent.grounding import load as grounding
from referent.models.base import Output, SegmentationModel
from referent.preparation import Preparation
from referent.reference import Reference
from referent.segmentation import Segmentation, box_of

if TYPE_CHECKING:
    from referent.reference import PictureSource

__all__ = ["AnySegmenter", "Failure", "Look", "Segmenter", "load"]

# Pixels restored to full size in one go: 16 phrases on a picture of two megapixels.
RESTORED_AT_ONCE = 32_000_000
# A presence head is trained with equal weight on both answers, so an even chance is where it changes its mind.
PRESENCE_THRESHOLD = 0.5

_log = logging.getLogger("referent")


class Segmenter(AnySegmenter):
    """A model together with what it needs to meet users: preparation, device, name.

    Args:
        model: put into evaluation mode and onto `device`.
        preparation: the one the model was trained with.
        name: printed in answers and result files.
        device: where to run; CUDA when there is one, else the CPU.
        dtype: float32, or bfloat16 for speed where the machine has it.
        presence_threshold: a model with a presence head has found something from this score on; one without, from
            the preparation's own threshold on.
        cache_bytes: bound of the memory in which the last pictures' features are kept, so that asking again about
            the same file does not encode it again; 0 keeps none.
    """

    model: SegmentationModel
    engine: Engine

    def __init__(
        self,
        model: SegmentationModel,
        preparation: Preparation,
        name: str = "unnamed",
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        presence_threshold: float = PRESENCE_THRESHOLD,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__(name, cache_bytes)
        self.model = model
        self.engine = Engine(model, device, dtype, preparation.size)
        self.preparation = preparation
        self.presence_threshold = presence_threshold

    @property
    def reference_kinds(self) -> frozenset[str]:
        """What the model takes."""
        return self.model.reference_kinds

    def save(self, path: str | Path) -> Path:
        """Weights, configuration and preparation as one .safetensors file that `load` takes.

        Args:
            path: the file; or a folder, made when missing, which gets `model.safetensors`.

        Returns:
            The file.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            path.mkdir(parents=True, exist_ok=True)
            path = path / hub.WEIGHTS_FILE
        extra = {"presence_threshold": self.presence_threshold}
        weights.write(path, self.model.state_dict(), zoo.header(self.model, self.preparation, self.name, extra))
        return path

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        clip: str | Path | None = None,
    ) -> Segmenter:
        """`load`, with the hub's own arguments; see `zoo.find`."""
        number = dtype_of(dtype)
        path = zoo.find(name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        model, preparation, header = zoo.build(path, None if clip is None else Path(clip))
        threshold = float(header.extra.get("presence_threshold", PRESENCE_THRESHOLD))
        return cls(model, preparation, header.name, device, number, threshold)

    def save_pretrained(self, folder: str | Path) -> Path:
        """A folder laid out like a hub repository: `model.safetensors` and a README that tells how to load it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / hub.WEIGHTS_FILE)
        atomic_write(folder / "README.md", hub.card(self.name))
        return folder

    def push_to_hub(self, repository: str, *, private: bool = False, token: str | None = None) -> str:
        """What `save_pretrained` writes to the hub repository "owner/name", made when missing; its address."""
        with tempfile.TemporaryDirectory() as folder:
            return hub.upload(self.save_pretrained(folder), repository, private=private, token=token)

    def _looked(self, images: Sequence[Image.Image], sources: Sequence[PictureSource]) -> Look:
        encoded = self.engine.encode(torch.stack([self.preparation.picture(image) for image in images]))
        return Look(self, images, encoded)

    def _segmentation(
        self, picture: Image.Image, reference: Reference, probability: NDArray[np.float32], presence: float | None
    ) -> Segmentation:
        mask = probability > self.preparation.threshold
        inside = float(probability[mask].mean()) if mask.any() else 0.0
        score = inside if presence is None else presence
        threshold = self.preparation.threshold if presence is None else self.presence_threshold
        found = score >= threshold and bool(mask.any())
        return Segmentation(
            mask=mask,
            probability=probability,
            box=box_of(mask) if found else None,
            score=score,
            found=found,
            reference=reference,
            model=self.name,
            picture=picture,
            notes=self._notes(reference),
        )

    def _notes(self, reference: Reference) -> tuple[str, ...]:
        if reference.phrase is None:
            return ()
        text, notes = reference.phrase.text, []
        if self.preparation.truncated(text):
            notes.append(f"the phrase is cut to the {self.preparation.context_length} tokens that {self.name} reads")
        if not any(character.isascii() and character.isalpha() for character in text):
            notes.append(f"{self.name} reads English; this phrase has no English word")
        for note in notes:
            _log.info("%s: %r", note, text)
        return tuple(notes)


class Look(AnyLook):
    """Pictures as a model has seen them.

    Args:
        segmenter: the model and its preparation.
        pictures: RGB.
        encoded: by the model.
    """

    def __init__(self, segmenter: Segmenter, pictures: Sequence[Image.Image], encoded: Encoded) -> None:
        super().__init__(segmenter, pictures)
        self._segmenter = segmenter
        self._encoded = encoded

    @property
    def nbytes(self) -> int:
        """Memory held: the decoded pictures and their features."""
        return self._encoded.nbytes + sum(3 * picture.width * picture.height for picture in self.pictures)

    @property
    def model(self) -> SegmentationModel:
        """That has looked."""
        return self._segmenter.model

    def outputs(self, phrases: Sequence[str]) -> Iterator[Output]:
        """All that the model says of phrases about the first picture, `CHUNK` a pass: tensors over its own square."""
        segmenter = self._segmenter
        for start in range(0, len(phrases), CHUNK):
            chunk = phrases[start : start + CHUNK]
            yield segmenter.engine.output(self._encoded, segmenter.preparation.tokens(chunk), [0] * len(chunk))

    def restored_boxes(self, corners: Tensor) -> Tensor:
        """(T, 4) boxes over the model's square, on the first picture."""
        picture = self.pictures[0]
        return self._segmenter.preparation.restore_boxes(corners, (picture.height, picture.width))

    def answers(self, questions: Sequence[tuple[int, Reference]]) -> Iterator[Segmentation]:
        """(row of `pictures`, reference) pairs answered in order, `CHUNK` a pass."""
        segmenter = self._segmenter
        for start in range(0, len(questions), CHUNK):
            chunk = questions[start : start + CHUNK]
            tokens = segmenter.preparation.tokens([str(reference.phrase) for _, reference in chunk])
            probability, presence = segmenter.engine.answer(self._encoded, tokens, [row for row, _ in chunk])
            scores = [None] * len(chunk) if presence is None else presence.tolist()
            for some in self._restorable(chunk):
                picture = self.pictures[chunk[some.start][0]]
                full = segmenter.preparation.restore(probability[some], (picture.height, picture.width))
                for (_, reference), one, score in zip(chunk[some], full, scores[some], strict=True):
                    yield segmenter._segmentation(picture, reference, one, score)

    def _restorable(self, chunk: Sequence[tuple[int, Reference]]) -> Iterator[slice]:
        """Neighbours about one picture, few enough to be brought to its size together."""
        start = 0
        for row, group in groupby(chunk, key=lambda question: question[0]):
            stop = start + len(list(group))
            step = max(1, RESTORED_AT_ONCE // (self.pictures[row].width * self.pictures[row].height))
            for first in range(start, stop, step):
                yield slice(first, min(first + step, stop))
            start = stop


def load(
    name: str | Path,
    device: torch.device | str | None = None,
    dtype: torch.dtype | str | None = None,
    clip: str | Path | None = None,
) -> AnySegmenter:
    """A model ready to use.

    Args:
        name: a zoo name (`referent models` lists them), a .safetensors file, a folder holding one, a hub id
            ("owner/name"), or the .yaml file of a grounding system (see `grounding.config`).
        device: "cpu", "cuda", ...; CUDA when there is one, else the CPU.
        dtype: "fp32" (default) or "bf16", or torch's own.
        clip: the file that an adapter's encoders come from; looked for when None (`adapters.find`).

    Raises:
        WeightsError: no such model, its weights are not here, or its file is unusable; or an adapter's CLIP is not
            found or another one.
        DataError: a part of a grounding system that is no model is unusable.
    """
    if zoo.is_system(name):
        if clip is not None:
            raise WeightsError(f"{name}: a grounding system names its own CLIP; found {clip} beside it")
        return grounding.load(zoo.find(name), device, dtype)
    return Segmenter.from_pretrained(name, device=device, dtype=dtype, clip=clip)
