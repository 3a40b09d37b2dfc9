"""Picture and reference in, segmentation out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from referent import hub, weights, zoo
from referent.asking import CACHE_BYTES, AnyLook, AnySegmenter, Failure, file_key
from referent.caching import ByteBoundCache
from referent.engine import CHUNK, Encoded, Engine, dtype_of
from referent.errors import ReferentError, WeightsError
from referent.files import atomic_write, expanded
from referent.grounding import load as grounding
from referent.models.base import Output, SegmentationModel, Studied
from referent.picture import read_example
from referent.preparation import Preparation
from referent.reference import Example, Reference, ReferenceLike
from referent.segmentation import Segmentation, box_of
from referent.tracker import MemoryTracker, Tracker
from referent.tracking.procedure import Procedure, procedure_of

if TYPE_CHECKING:
    from referent.reference import PictureSource
    from referent.rle import RLE
    from referent.weights import Header

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
            the same file does not encode it again, and of another in which examples are kept; 0 keeps none.
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
        self._studied: ByteBoundCache[tuple[Tensor, ...]] = ByteBoundCache(cache_bytes)

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
        path = expanded(path)
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
        """`load`, with the hub's own arguments (see `zoo.find`), and a type that has `save` and `push_to_hub`.

        Raises:
            WeightsError: as `load`, or `name` means a grounding system.
        """
        if zoo.is_system(name):
            raise WeightsError(f"{name}: expected a model of one weight file, found a grounding system; see `rf.load`")
        number = dtype_of(dtype)
        path = zoo.find(name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        model, preparation, header = zoo.build(path, None if clip is None else expanded(clip))
        return cls(model, preparation, header.name, device, number, _presence_threshold(header, path))

    def save_pretrained(self, folder: str | Path) -> Path:
        """A folder laid out like a hub repository: `model.safetensors` and a README that tells how to load it."""
        folder = expanded(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save(folder / hub.WEIGHTS_FILE)
        atomic_write(folder / "README.md", hub.card(self.name))
        return folder

    def push_to_hub(self, repository: str, *, private: bool = False, token: str | None = None) -> str:
        """What `save_pretrained` writes to the hub repository "owner/name", made when missing; its address."""
        with tempfile.TemporaryDirectory() as folder:
            return hub.upload(self.save_pretrained(folder), repository, private=private, token=token)

    def _looked(self, images: Sequence[Image.Image], sources: Sequence[PictureSource]) -> Look:
        prepared = [self.preparation.picture(image) for image in images]
        # Models that take pictures of any size are shown those of several sizes one by one.
        same = len({picture.shape for picture in prepared}) == 1
        groups = [prepared] if same else [[picture] for picture in prepared]
        return Look(self, images, [self.engine.encode(torch.stack(group)) for group in groups])

    def tokens(self, references: Sequence[Reference]) -> Tensor:
        """N references to (N, L) int64; zeros where there is no phrase."""
        tokens = torch.zeros(len(references), self.preparation.context_length, dtype=torch.int64)
        rows = [row for row, reference in enumerate(references) if reference.phrase is not None]
        if rows:
            tokens[rows] = self.preparation.tokens([str(references[row].phrase) for row in rows])
        return tokens

    def studied(self, references: Sequence[Reference]) -> Studied | None:
        """The examples of N references, each encoded once; None where there is none.

        Raises:
            PictureError: a picture or a mask cannot be used, or they differ in size.
            BadReferenceError: a mask is empty.
        """
        given = [(row, example) for row, reference in enumerate(references) for example in reference.examples]
        if not given:
            return None
        return Studied(tuple(self._study(example) for _, example in given), torch.tensor([row for row, _ in given]))

    def _study(self, example: Example) -> tuple[Tensor, ...]:
        contents = file_key(example.picture), _mask_key(example.mask)
        # One whose content is not known without reading it is known by being the same object.
        key = contents if all(contents) else example
        features = self._studied.get(key)
        if features is None:
            picture, target = read_example(example)
            features = self.engine.study(self.preparation.picture(picture), self.preparation.mask(target))
            self._studied.put(key, features, sum(tensor.nbytes for tensor in features))
        return features

    def _tracker(
        self,
        objects: ReferenceLike | Mapping[Any, ReferenceLike | None],
        procedure: str | Procedure | None,
        smoothing: float,
    ) -> Tracker[Any]:
        if "example" not in self.reference_kinds:
            return super()._tracker(objects, procedure, smoothing)
        if smoothing:
            raise ReferentError(f"smoothing: expected none, as {self.name} remembers earlier frames, found {smoothing}")
        return MemoryTracker(self, self._checked, objects, procedure_of(procedure))

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


def _mask_key(mask: PictureSource | RLE) -> Hashable:
    """What a mask must still be for an example to be the same; None where its content is not known."""
    if not isinstance(mask, dict):
        return file_key(mask)
    counts: object = mask.get("counts")
    return (counts, str(mask.get("size"))) if isinstance(counts, (str, bytes)) else None


def _presence_threshold(header: Header, path: Path) -> float:
    """That of a weight file, where it has one of its own."""
    value = header.extra.get("presence_threshold", PRESENCE_THRESHOLD)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise WeightsError(
            f"{path}: header field extra.presence_threshold: expected a number from 0 to 1, found {value!r}"
        )
    return float(value)


class Look(AnyLook):
    """Pictures as a model has seen them.

    Args:
        segmenter: the model and its preparation.
        pictures: RGB.
        encoded: by the model, in order, all together or in groups.
    """

    def __init__(self, segmenter: Segmenter, pictures: Sequence[Image.Image], encoded: Sequence[Encoded]) -> None:
        super().__init__(segmenter, pictures)
        self._segmenter = segmenter
        self._encoded = tuple(encoded)
        # Of each picture: which group it is in, and which row of it.
        self._places = [(number, row) for number, group in enumerate(encoded) for row in range(len(group.image))]

    @property
    def nbytes(self) -> int:
        """Memory held: the decoded pictures and their features."""
        return sum(group.nbytes for group in self._encoded) + sum(
            3 * picture.width * picture.height for picture in self.pictures
        )

    @property
    def model(self) -> SegmentationModel:
        """That has looked."""
        return self._segmenter.model

    def outputs(self, phrases: Sequence[str]) -> Iterator[Output]:
        """All that the model says of phrases about the first picture, `CHUNK` a pass: tensors over its own square."""
        segmenter = self._segmenter
        for start in range(0, len(phrases), CHUNK):
            chunk = phrases[start : start + CHUNK]
            yield segmenter.engine.output(self._encoded[0], segmenter.preparation.tokens(chunk), [0] * len(chunk))

    def restored_boxes(self, corners: Tensor) -> Tensor:
        """(T, 4) boxes over the model's square, on the first picture."""
        picture = self.pictures[0]
        return self._segmenter.preparation.restore_boxes(corners, (picture.height, picture.width))

    def answers(self, questions: Sequence[tuple[int, Reference]]) -> Iterator[Segmentation]:
        """(row of `pictures`, reference) pairs answered in order, `CHUNK` a pass."""
        segmenter = self._segmenter
        for number, chunk in self._chunks(questions):
            references = [reference for _, reference in chunk]
            rows = [self._places[row][1] for row, _ in chunk]
            probability, presence = segmenter.engine.answer(
                self._encoded[number], segmenter.tokens(references), rows, segmenter.studied(references)
            )
            scores = [None] * len(chunk) if presence is None else presence.tolist()
            for some in self._restorable(chunk):
                picture = self.pictures[chunk[some.start][0]]
                full = segmenter.preparation.restore(probability[some], (picture.height, picture.width))
                for (_, reference), one, score in zip(chunk[some], full, scores[some], strict=True):
                    yield segmenter._segmentation(picture, reference, one, score)

    def _chunks(
        self, questions: Sequence[tuple[int, Reference]]
    ) -> Iterator[tuple[int, Sequence[tuple[int, Reference]]]]:
        """Neighbours that can be answered in one pass, and the group that their pictures are in."""
        for number, group in groupby(questions, key=lambda question: self._places[question[0]][0]):
            own = list(group)
            for start in range(0, len(own), CHUNK):
                yield number, own[start : start + CHUNK]

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
    """A model ready to use: a `Segmenter`, or a `GroundingSegmenter` where `name` means a grounding system.

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
