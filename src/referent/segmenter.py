"""Picture and reference in, segmentation out."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from referent import hub, weights, zoo
from referent.caching import ByteBoundCache
from referent.data.sample import Sample
from referent.engine import CHUNK, Encoded, Engine, dtype_of
from referent.errors import BadReferenceError, ReferentError
from referent.files import atomic_write
from referent.models.base import SegmentationModel
from referent.picture import read_picture
from referent.preparation import Preparation
from referent.reference import Example, Phrase, Reference
from referent.segmentation import Segmentation, box_of

if TYPE_CHECKING:
    from referent.reference import PictureSource

One = str | Phrase | Example | Reference | list[Example]
Many = list[str] | list[Phrase] | list[Reference] | list[str | Phrase | Reference] | tuple[str | Phrase, ...]

# Pixels restored to full size in one go: 16 phrases on a picture of two megapixels.
RESTORED_AT_ONCE = 32_000_000
CACHE_BYTES = 256 * 2**20
# A presence head is trained with equal weight on both answers, so an even chance is where it changes its mind.
PRESENCE_THRESHOLD = 0.5
KINDS = {"phrase": "a phrase", "example": "an example"}

_log = logging.getLogger("referent")


@dataclass(frozen=True)
class Failure:
    """What `segment_many` yields in the place of a picture that could not be used.

    Attributes:
        picture: the picture as it was given.
        error: why; its message names the file.
    """

    picture: PictureSource
    error: ReferentError


class Segmenter:
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
        self.model = model
        self.engine = Engine(model, device, dtype, preparation.size)
        self.preparation = preparation
        self.name = name
        self.presence_threshold = presence_threshold
        self._looks: ByteBoundCache[Look] = ByteBoundCache(cache_bytes)

    @overload
    def segment(self, picture: PictureSource, reference: One) -> Segmentation: ...
    @overload
    def segment(self, picture: PictureSource, reference: Many) -> list[Segmentation]: ...
    def segment(self, picture: PictureSource, reference: One | Many) -> Segmentation | list[Segmentation]:
        """Where in `picture` is `reference`?

        Args:
            picture: path, bytes of a picture file, PIL image or (H, W, 3) uint8 array.
            reference: text, `Phrase`, `Example`, a list of examples (k-shot) or `Reference`; or a list of phrases or
                references, which is answered by a list in the same order.

        Raises:
            PictureError: the picture cannot be used.
            BadReferenceError: a reference cannot be used, or not by this model.
        """
        self._checked(reference)
        return self.look_at(picture).segment(reference)

    def look_at(self, picture: PictureSource) -> Look:
        """The picture encoded once, to be asked many times.

        Raises:
            PictureError: the picture cannot be used.
        """
        key = _file_key(picture)
        look = self._looks.get(key) if key else None
        if look is None:
            image = read_picture(picture)
            look = Look(self, (image,), self._encode([image]))
            if key:
                self._looks.put(key, look, look.nbytes)
        return look

    def segment_many(
        self,
        pictures: Iterable[PictureSource],
        references: One | Iterable[One | Many],
        batch_size: int = 8,
    ) -> Iterator[Segmentation | list[Segmentation] | Failure]:
        """`segment` over many pictures, in their order; one bad file does not end the run.

        Args:
            pictures: read lazily, `batch_size` at a time.
            references: one reference for every picture, or one entry a picture, each as in `segment`
                (`itertools.repeat(["a dog", "a cat"])` asks both of every picture).
            batch_size: pictures encoded together.

        Yields:
            For each picture what `segment` would return, or a `Failure`.

        Raises:
            BadReferenceError: fewer or more entries than pictures, or a reference that cannot be used.
        """
        entries = repeat(references) if isinstance(references, (str, Phrase, Example, Reference)) else references
        if isinstance(pictures, Sized) and isinstance(entries, Sized) and len(pictures) != len(entries):
            raise _unpaired(len(pictures), len(entries))
        rest = iter(entries)
        jobs = ((picture, next(rest, None)) for picture in pictures)
        while batch := list(islice(jobs, batch_size)):
            asked: list[list[Reference]] = []
            for _, entry in batch:
                if entry is None:
                    raise _unpaired("more", "fewer")
                asked.append(self._checked(entry))
            answers = self._answer_batch([picture for picture, _ in batch], asked)
            for (_, entry), answer in zip(batch, answers, strict=True):
                yield answer[0] if isinstance(answer, list) and _is_one(entry) else answer

    def predict(self, samples: Iterable[Sample], batch_size: int = 1) -> Iterator[tuple[Sample, Segmentation]]:
        """Every sample with its answer, in order; neighbours about one picture share its encoding.

        Args:
            samples: ordered by picture for speed.
            batch_size: pictures encoded together.

        Raises:
            PictureError, BadReferenceError: a sample cannot be answered. An evaluation must not skip it.
        """
        groups = (list(group) for _, group in groupby(samples, key=lambda sample: sample.picture))
        while batch := list(islice(groups, batch_size)):
            asked = [self._checked([sample.reference for sample in group]) for group in batch]
            answers = self._answer_batch([group[0].picture for group in batch], asked)
            for group, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Failure):
                    raise answer.error
                yield from zip(group, answer, strict=True)

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
    ) -> Segmenter:
        """`load`, with the hub's own arguments; see `zoo.find`."""
        number = dtype_of(dtype)
        path = zoo.find(name, revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        model, preparation, header = zoo.build(path)
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

    def _answer_batch(
        self, sources: Sequence[PictureSource], asked: Sequence[Sequence[Reference]]
    ) -> list[list[Segmentation] | Failure]:
        """For each picture its answers, or why there are none; the readable ones are encoded together."""
        images: list[Image.Image] = []
        failures: dict[int, Failure] = {}
        for index, source in enumerate(sources):
            try:
                images.append(read_picture(source))
            except ReferentError as error:
                failures[index] = Failure(source, error)
        good = [index for index in range(len(sources)) if index not in failures]
        questions = [(row, reference) for row, index in enumerate(good) for reference in asked[index]]
        answered: dict[int, list[Segmentation]] = {index: [] for index in good}
        if images:
            look = Look(self, tuple(images), self._encode(images))
            for (row, _), answer in zip(questions, look.answers(questions), strict=True):
                answered[good[row]].append(answer)
        return [failures[index] if index in failures else answered[index] for index in range(len(sources))]

    def _checked(self, references: One | Many | Sequence[Reference]) -> list[Reference]:
        """References this model can take, from whatever the user wrote."""
        items: Sequence[Any] = [references] if _is_one(references) else references  # type: ignore[assignment]
        found = [Reference.of(item) for item in items]
        for kind in sorted({kind for reference in found for kind in reference.kinds} - self.model.reference_kinds):
            takes = " and ".join(f"{own}s" for own in sorted(self.model.reference_kinds, reverse=True))
            able = ", ".join(zoo.able_to_take(kind))
            instead = f"for {KINDS[kind]} use {able}" if able else f"no model here takes {KINDS[kind]} yet"
            raise BadReferenceError(f"{self.name} takes {takes}; {instead}")
        return found

    def _encode(self, images: Sequence[Image.Image]) -> Encoded:
        return self.engine.encode(torch.stack([self.preparation.picture(image) for image in images]))

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


class Look:
    """Pictures that a segmenter has encoded; `Segmenter.look_at` makes one of a single picture.

    Attributes:
        pictures: as decoded (RGB, upright).
    """

    def __init__(self, segmenter: Segmenter, pictures: tuple[Image.Image, ...], encoded: Encoded) -> None:
        self.pictures = pictures
        self._segmenter = segmenter
        self._encoded = encoded

    @property
    def nbytes(self) -> int:
        """Memory held: the decoded pictures and their features."""
        return self._encoded.nbytes + sum(3 * picture.width * picture.height for picture in self.pictures)

    @overload
    def segment(self, reference: One) -> Segmentation: ...
    @overload
    def segment(self, reference: Many) -> list[Segmentation]: ...
    @overload
    def segment(self, reference: One | Many) -> Segmentation | list[Segmentation]: ...
    def segment(self, reference: One | Many) -> Segmentation | list[Segmentation]:
        """As `Segmenter.segment`, about this picture; a list is answered in few passes of the model."""
        answers = list(self.answers([(0, item) for item in self._segmenter._checked(reference)]))
        return answers[0] if _is_one(reference) else answers

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
    name: str | Path, device: torch.device | str | None = None, dtype: torch.dtype | str | None = None
) -> Segmenter:
    """A model ready to use.

    Args:
        name: a zoo name (`referent models` lists them), a .safetensors file, a folder holding one, or a hub id
            ("owner/name").
        device: "cpu", "cuda", ...; CUDA when there is one, else the CPU.
        dtype: "fp32" (default) or "bf16", or torch's own.

    Raises:
        WeightsError: no such model, its weights are not here, or its file is unusable.
    """
    return Segmenter.from_pretrained(name, device=device, dtype=dtype)


def _is_one(reference: Any) -> bool:
    """Whether this is one reference (a non-empty list of examples is: k-shot), not a list of them."""
    if not isinstance(reference, (list, tuple)):
        return True
    return len(reference) > 0 and all(isinstance(item, Example) for item in reference)


def _unpaired(pictures: int | str, references: int | str) -> BadReferenceError:
    return BadReferenceError(f"references: expected one entry a picture, found {references} for {pictures} pictures")


def _file_key(source: PictureSource) -> tuple[str, int, int] | None:
    """What a file must still be for its features to be those of its content; None for anything but a file."""
    if not isinstance(source, (str, Path)):
        return None
    path = Path(source).expanduser()
    try:
        status = path.stat()
        return str(path.resolve()), status.st_mtime_ns, status.st_size
    except (OSError, ValueError, RuntimeError):
        return None
