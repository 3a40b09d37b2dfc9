"""Asking about pictures: what every system that answers references offers its users.

A system says how it looks at pictures (`AnySegmenter._looked`) and how it answers about them (`AnyLook.answers`);
reading, checking, grouping and remembering are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, overload

from PIL import Image

from referent import zoo
from referent.caching import ByteBoundCache
from referent.data.sample import Sample
from referent.errors import BadReferenceError, ReferentError
from referent.files import expanded
from referent.picture import read_picture
from referent.reference import Example, Phrase, Reference, ReferenceLike
from referent.segmentation import Segmentation
from referent.tracker import FrameTracker, Tracker
from referent.tracking.objects import Name
from referent.tracking.procedure import Procedure

if TYPE_CHECKING:
    import torch
    from torch import nn

    from referent.preparation import Preparation
    from referent.reference import PictureSource

One = str | Phrase | Example | Reference | list[Example]
Many = list[str] | list[Phrase] | list[Reference] | list[str | Phrase | Reference] | tuple[str | Phrase, ...]

CACHE_BYTES = 256 * 2**20
KINDS = {"phrase": "a phrase", "example": "an example"}


@dataclass(frozen=True)
class Failure:
    """What `segment_many` yields in the place of a picture that could not be used.

    Attributes:
        picture: the picture as it was given.
        error: why; its message names the file.
    """

    picture: PictureSource
    error: ReferentError


class Place(Protocol):
    """Where a system runs."""

    @property
    def device(self) -> torch.device:
        """On this device."""

    @property
    def dtype(self) -> torch.dtype:
        """In this precision."""


class AnySegmenter(ABC):
    """Picture and reference in, segmentation out.

    Attributes:
        name: printed in answers and result files.
        model: everything that was trained; its tensors tell one system from another.
        preparation: how pictures and phrases are prepared, and where a mask is cut out.
        engine: where it runs.
        reference_kinds: the kinds of reference it takes.

    Args:
        name: see above.
        cache_bytes: bound of the memory in which the last pictures' features are kept, so that asking again about
            the same file does not encode it again; 0 keeps none.
    """

    model: nn.Module
    preparation: Preparation
    engine: Place

    def __init__(self, name: str, cache_bytes: int = CACHE_BYTES) -> None:
        self.name = name
        self._looks: ByteBoundCache[AnyLook] = ByteBoundCache(cache_bytes)

    @property
    @abstractmethod
    def reference_kinds(self) -> frozenset[str]:
        """A subset of {"phrase", "example"}."""

    @property
    def geometry(self) -> str:
        """How it looks at pictures, in the words of evaluation protocols (`Protocol.picture`)."""
        return self.preparation.geometry

    @abstractmethod
    def _looked(self, images: Sequence[Image.Image], sources: Sequence[PictureSource]) -> AnyLook:
        """RGB pictures, encoded together, and what they were read from."""

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

    def look_at(self, picture: PictureSource) -> AnyLook:
        """The picture encoded once, to be asked many times.

        Raises:
            PictureError: the picture cannot be used.
        """
        key = file_key(picture)
        look = self._looks.get(key) if key else None
        if look is None:
            image = read_picture(picture)
            look = self._looked([image], [picture])
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
            references: one reference for every picture (a list of examples is one: k-shot), or one entry a picture,
                each as in `segment` (`itertools.repeat(["a dog", "a cat"])` asks both of every picture,
                `[[one], [other]]` shows each its own example).
            batch_size: pictures encoded together.

        Yields:
            For each picture what `segment` would return, or a `Failure`.

        Raises:
            BadReferenceError: fewer or more entries than pictures, or a reference that cannot be used.
            ReferentError: `batch_size` is below 1.
        """
        _check_batch_size(batch_size)
        one = isinstance(references, (str, Phrase, Example, Reference, list, tuple)) and _is_one(references)
        entries: Iterable[One | Many] = repeat(references) if one else references  # type: ignore[assignment,arg-type]
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

    @overload
    def track(
        self, objects: ReferenceLike, *, procedure: str | Procedure | None = None, smoothing: float = 0.0
    ) -> Tracker[Segmentation]: ...
    @overload
    def track(
        self,
        objects: Mapping[Any, ReferenceLike | None],
        *,
        procedure: str | Procedure | None = None,
        smoothing: float = 0.0,
    ) -> Tracker[dict[Name, Segmentation]]: ...
    def track(
        self,
        objects: ReferenceLike | Mapping[Any, ReferenceLike | None],
        *,
        procedure: str | Procedure | None = None,
        smoothing: float = 0.0,
    ) -> Tracker[Segmentation] | Tracker[dict[Name, Segmentation]]:
        """Follows objects through a video, one `step(frame)` at a time.

        A model that takes examples remembers what it has found; any other one sees each frame by itself.

        Args:
            objects: one reference, as in `segment`; or references by name, None for an object whose mask will come with
                a frame. Neither has to be in the first frame.
            procedure: the rules of a model that remembers: a name in `tracking.procedure`, or one's own.
            smoothing: share of the past in every answer of a model that does not (`tracking.smoothing`).

        Raises:
            BadReferenceError: a reference cannot be used, or not by this model.
            PictureError: an example cannot be used.
            ReferentError: a procedure or a smoothing that this model has no use for.
        """
        return self._tracker(objects, procedure, smoothing)

    def _tracker(
        self,
        objects: ReferenceLike | Mapping[Any, ReferenceLike | None],
        procedure: str | Procedure | None,
        smoothing: float,
    ) -> Tracker[Any]:
        if procedure is not None:
            raise ReferentError(f"procedure: expected none, as {self.name} sees each frame alone, found {procedure}")
        if not 0 <= smoothing < 1:
            raise ReferentError(f"smoothing: expected at least 0 and less than 1, found {smoothing}")
        return FrameTracker(self, self._checked, objects, smoothing)

    def predict(self, samples: Iterable[Sample], batch_size: int = 1) -> Iterator[tuple[Sample, Segmentation]]:
        """Every sample with its answer, in order; neighbours about one picture share its encoding.

        Args:
            samples: ordered by picture for speed.
            batch_size: pictures encoded together.

        Raises:
            PictureError, BadReferenceError: a sample cannot be answered. An evaluation must not skip it.
            ReferentError: `batch_size` is below 1.
        """
        _check_batch_size(batch_size)
        groups = (list(group) for _, group in groupby(samples, key=lambda sample: sample.picture))
        while batch := list(islice(groups, batch_size)):
            asked = [self._checked([sample.reference for sample in group]) for group in batch]
            answers = self._answer_batch([group[0].picture for group in batch], asked)
            for group, answer in zip(batch, answers, strict=True):
                if isinstance(answer, Failure):
                    raise answer.error
                yield from zip(group, answer, strict=True)

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
            try:
                look = self._looked(images, [sources[index] for index in good])
                for (row, _), answer in zip(questions, look.answers(questions), strict=True):
                    answered[good[row]].append(answer)
            except ReferentError as error:
                if len(sources) == 1:
                    return [Failure(sources[0], error)]
                # Which picture it was shows when each is asked alone.
                return [self._answer_batch([source], [own])[0] for source, own in zip(sources, asked, strict=True)]
        return [failures[index] if index in failures else answered[index] for index in range(len(sources))]

    def _checked(self, references: One | Many | Sequence[Reference]) -> list[Reference]:
        """References this model can take, from whatever the user wrote."""
        items: Sequence[Any] = [references] if _is_one(references) else references  # type: ignore[assignment]
        found = [Reference.of(item) for item in items]
        self.check_kinds({kind for reference in found for kind in reference.kinds})
        return found

    def check_kinds(self, kinds: Collection[str]) -> None:
        """Whether it takes references of these kinds.

        Raises:
            BadReferenceError: it does not; the message says which models do.
        """
        for kind in sorted(set(kinds) - self.reference_kinds):
            takes = " and ".join(f"{own}s" for own in sorted(self.reference_kinds, reverse=True))
            able = ", ".join(zoo.able_to_take(kind))
            instead = f"for {KINDS[kind]} use {able}" if able else f"no model here takes {KINDS[kind]} yet"
            raise BadReferenceError(f"{self.name} takes {takes}; {instead}")


class AnyLook(ABC):
    """Pictures that a segmenter has encoded; `AnySegmenter.look_at` makes one of a single picture.

    Attributes:
        pictures: as decoded (RGB, upright).
    """

    def __init__(self, segmenter: AnySegmenter, pictures: Sequence[Image.Image]) -> None:
        self.pictures = tuple(pictures)
        self._owner = segmenter

    @property
    def name(self) -> str:
        """Of the system that has looked."""
        return self._owner.name

    @property
    def threshold(self) -> float:
        """Probability above which a pixel belongs to a mask."""
        return self._owner.preparation.threshold

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory held: the decoded pictures and their features."""

    @abstractmethod
    def answers(self, questions: Sequence[tuple[int, Reference]]) -> Iterator[Segmentation]:
        """(row of `pictures`, reference) pairs answered in order."""

    @overload
    def segment(self, reference: One) -> Segmentation: ...
    @overload
    def segment(self, reference: Many) -> list[Segmentation]: ...
    @overload
    def segment(self, reference: One | Many) -> Segmentation | list[Segmentation]: ...
    def segment(self, reference: One | Many) -> Segmentation | list[Segmentation]:
        """As `AnySegmenter.segment`, about this picture; a list is answered in few passes of the model."""
        answers = list(self.answers([(0, item) for item in self._owner._checked(reference)]))
        return answers[0] if _is_one(reference) else answers


def _is_one(reference: Any) -> bool:
    """Whether this is one reference (a non-empty list of examples is: k-shot), not a list of them."""
    if not isinstance(reference, (list, tuple)):
        return True
    return len(reference) > 0 and all(isinstance(item, Example) for item in reference)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ReferentError(f"batch_size: expected at least 1, found {batch_size}")


def _unpaired(pictures: int | str, references: int | str) -> BadReferenceError:
    return BadReferenceError(f"references: expected one entry a picture, found {references} for {pictures} pictures")


def file_key(source: PictureSource) -> tuple[str, int, int] | None:
    """What a file must still be for its features to be those of its content; None for anything but a file."""
    if not isinstance(source, (str, Path)):
        return None
    path = expanded(source)
    try:
        status = path.stat()
        return str(path.resolve()), status.st_mtime_ns, status.st_size
    except (OSError, ValueError, RuntimeError):
        return None
