"""Video and references in, segmentations out, frame by frame.

There are two kinds: a model that takes examples remembers what it has found (`MemoryTracker`); any other one sees each
frame by itself (`FrameTracker`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from referent.engine import Engine
from referent.errors import BadReferenceError
from referent.picture import read_example, read_mask, read_picture
from referent.preparation import Preparation
from referent.reference import Example, Reference, ReferenceLike
from referent.segmentation import Segmentation, box_of
from referent.tracking.follower import Followed, Follower
from referent.tracking.memory import Features
from referent.tracking.objects import ONE, Name, Objects
from referent.tracking.procedure import Procedure
from referent.tracking.smoothing import Smoothing
from referent.video.frame import Frame

if TYPE_CHECKING:
    from referent.reference import PictureSource
    from referent.rle import RLE

    MaskSource: TypeAlias = PictureSource | RLE

Answer = TypeVar("Answer", Segmentation, dict[Name, Segmentation])
Check: TypeAlias = Callable[[Reference], object]
"""Raises BadReferenceError for a reference that the model does not take."""

_MASK = Reference(examples=(Example("a frame", "its mask"),))
"""What a mask that comes with a frame is to a model: an example."""


class AsksFrames(Protocol):
    """What a `FrameTracker` needs of a model."""

    name: str
    preparation: Preparation

    def look_at(self, picture: PictureSource) -> Any:
        """See `AnySegmenter.look_at`."""


class TakesExamples(Protocol):
    """What a `MemoryTracker` needs of a model."""

    name: str
    preparation: Preparation
    presence_threshold: float
    engine: Engine

    def tokens(self, references: Sequence[Reference]) -> Tensor:
        """See `Segmenter.tokens`."""


class Tracker(ABC, Generic[Answer]):
    """Follows objects through one video.

    Args:
        check: of references.
        objects: one reference, whose answers then come alone; or references by name, whose answers come by name. In
            these, None stands for an object whose mask will come with a frame.

    Raises:
        BadReferenceError: nothing to follow, or a reference that cannot be used or that the model does not take.
    """

    def __init__(self, check: Check, objects: ReferenceLike | Mapping[Any, ReferenceLike | None]) -> None:
        if objects is None:
            raise BadReferenceError(
                "reference: expected something to follow, found None; of an object whose mask comes with a frame give "
                'the name, as in {"it": None}'
            )
        self._check = check
        self._objects = Objects()
        self._alone = not isinstance(objects, Mapping)
        for name, reference in objects.items() if isinstance(objects, Mapping) else [(ONE, objects)]:
            self._add(name, reference)

    def add(self, name: Name, reference: ReferenceLike | None = None) -> None:
        """One more object, looked for from the next frame on.

        Args:
            name: unique.
            reference: what it is: a phrase, an example (any picture with a mask), several examples, or a phrase with
                examples; None when its mask comes with a frame (`step`).

        Raises:
            BadReferenceError: the name is taken, there are too many objects, the model does not take the reference, or
                this tracker was asked for one object only.
            PictureError: an example cannot be used.
        """
        if self._alone:
            raise BadReferenceError(f"object {name!r}: this tracker has one reference; begin with references by name")
        self._add(name, reference)

    def step(self, frame: PictureSource | Frame, masks: Mapping[Any, MaskSource] | None = None) -> Answer:
        """The next frame.

        Args:
            frame: of `read_video`; or a (H, W, 3) uint8 array, PIL image, path, or bytes. Frames may change their size.
            masks: what the user knows of this very frame, by object (`ONE` where there is one reference). With its
                first mask an object begins, and one of a new name is added; a later mask corrects. It is the answer
                to this frame (brought to the model's size and back, as in the released code), and from then on the
                reference that is kept. An empty one says that the object is not in this frame, and nothing else.

        Returns:
            The answer about the one reference; or answers by name, in the order of the objects, about those that have
            begun: that are described, or have been shown. An object that is not there has an empty mask.

        Raises:
            PictureError: the frame or a mask cannot be used, or they differ in size.
            BadReferenceError: the first mask of an object is empty, a mask is too small for the model to see, or it
                takes no masks.
        """
        picture = _picture_of(frame)
        given = self._shown(masks or {}, picture)
        answers = self._answers(picture, given)
        return cast(Answer, answers[ONE] if self._alone else answers)

    def expect_masks(self) -> None:
        """Asks whether masks may come with frames.

        Raises:
            BadReferenceError: the model takes none.
        """
        self._check(_MASK)

    def recall(
        self,
        frame: PictureSource | Frame,
        found: Mapping[Any, NDArray[np.bool_]],
        masks: Mapping[Any, MaskSource] | None = None,
    ) -> None:
        """A frame that an earlier run has answered: afterwards the tracker knows of it what it knew then.

        Only the frames of `needed` matter, in their order.

        Args:
            frame, masks: as they were given to `step`.
            found: the answers that were not empty, (H, W) each.
        """
        picture = _picture_of(frame)
        self._recall(picture, found, self._shown(masks or {}, picture))

    @abstractmethod
    def needed(
        self, found: Sequence[Collection[Any]], shown: Mapping[int, Mapping[Any, NDArray[np.bool_]]]
    ) -> set[int]:
        """Which frames of an earlier run must be recalled to go on with it.

        Args:
            found: for each of its frames, the objects that were in it.
            shown: by frame, the masks that were given.
        """

    def _shown(self, masks: Mapping[Name, MaskSource], picture: Image.Image) -> dict[Name, NDArray[np.bool_]]:
        given = {name: self._read(name, mask, picture) for name, mask in masks.items()}
        for name, mask in given.items():
            if name not in self._objects:
                self.add(name)
            if self._objects.references[name] is None:
                self._objects.references[name] = Reference(examples=(Example(picture, mask),))
        return given

    def _read(self, name: Name, mask: MaskSource, picture: Image.Image) -> NDArray[np.bool_]:
        self.expect_masks()
        target = read_mask(mask, (picture.height, picture.width))
        if not target.any() and not (name in self._objects and self._known(name)):
            raise BadReferenceError(f"object {name!r}: expected a mask of something to begin with, found an empty one")
        return target

    def _add(self, name: Name, reference: ReferenceLike | None) -> None:
        found = None if reference is None else Reference.of(reference)
        self._check(found or _MASK)
        self._objects.add(name, found)
        self._begin(name, found)

    @abstractmethod
    def _begin(self, name: Name, reference: Reference | None) -> None:
        """One more object, checked."""

    @abstractmethod
    def _known(self, name: Name) -> bool:
        """Whether anything is known of what the object is."""

    @abstractmethod
    def _answers(self, picture: Image.Image, given: Mapping[Name, NDArray[np.bool_]]) -> dict[Name, Segmentation]:
        """To one frame."""

    @abstractmethod
    def _recall(
        self,
        picture: Image.Image,
        found: Mapping[Name, NDArray[np.bool_]],
        given: Mapping[Name, NDArray[np.bool_]],
    ) -> None:
        """See `recall`."""


class MemoryTracker(Tracker[Answer]):
    """Asks each frame with what the user gave and with what earlier frames have answered.

    Memory is that of two frames an object, whatever the length of the video.

    Args:
        model: takes examples.
        check, objects: see `Tracker`.
        procedure: its rules.
    """

    def __init__(
        self,
        model: TakesExamples,
        check: Check,
        objects: ReferenceLike | Mapping[Any, ReferenceLike | None],
        procedure: Procedure,
    ) -> None:
        self._model, self.procedure = model, procedure.judged(model.presence_threshold)
        self._preparation = procedure.fitted(model.preparation)
        self._follower = Follower(model.engine, self._preparation, self.procedure)
        super().__init__(check, objects)

    def _begin(self, name: Name, reference: Reference | None) -> None:
        examples = [] if reference is None else [self._studied(example) for example in reference.examples]
        nothing = torch.zeros(self._preparation.context_length, dtype=torch.int64)
        self._follower.begin(name, nothing if reference is None else self._model.tokens([reference])[0], examples)

    def _known(self, name: Name) -> bool:
        return self._follower.knows(name)

    def _studied(self, example: Example) -> Features:
        picture, target = read_example(example)
        return self._model.engine.study(self._preparation.picture(picture), self._preparation.mask(target))

    def _answers(self, picture: Image.Image, given: Mapping[Name, NDArray[np.bool_]]) -> dict[Name, Segmentation]:
        image, size = self._preparation.picture(picture), (picture.height, picture.width)
        followed = self._follower.step(image, size, self._fitted(given))
        return dict(zip(followed.names, self._segmentations(picture, followed), strict=True))

    def needed(
        self, found: Sequence[Collection[Any]], shown: Mapping[int, Mapping[Any, NDArray[np.bool_]]]
    ) -> set[int]:
        """Of each object, the frame of its first reference and the last one it was in; see `Tracker.needed`."""
        first: dict[Name, int] = {}
        last: dict[Name, int] = {}
        for frame, names in enumerate(found):
            for name in names:
                first.setdefault(name, frame)
                last[name] = frame
            first |= {name: frame for name, mask in shown.get(frame, {}).items() if mask.any()}
        return {*first.values(), *last.values()}

    def _recall(
        self,
        picture: Image.Image,
        found: Mapping[Name, NDArray[np.bool_]],
        given: Mapping[Name, NDArray[np.bool_]],
    ) -> None:
        image, size = self._preparation.picture(picture), (picture.height, picture.width)
        masks = {name: torch.from_numpy(mask) for name, mask in found.items()}
        self._follower.recall(image, size, masks, self._fitted(given))

    def _fitted(self, given: Mapping[Name, NDArray[np.bool_]]) -> dict[Name, Tensor]:
        """Masks (H, W) as the model sees them."""
        fitted = {name: self._preparation.mask(mask) for name, mask in given.items()}
        for name, mask in given.items():
            if mask.any() and not fitted[name].any():
                height, width = fitted[name].shape[-2:]
                raise BadReferenceError(
                    f"object {name!r}: expected a mask that is left when the frame is resized to {height} x {width} "
                    f"(height x width), found {mask.sum()} pixels that are not"
                )
        return fitted

    def _segmentations(self, picture: Image.Image, followed: Followed) -> list[Segmentation]:
        answers = []
        masks, probabilities = followed.masks.cpu().numpy(), followed.probabilities.cpu().numpy()
        for name, mask, probability, score in zip(followed.names, masks, probabilities, followed.scores, strict=True):
            reference = self._objects.references[name]
            assert reference is not None
            answers.append(
                Segmentation(
                    mask=mask,
                    probability=probability,
                    box=box_of(mask),
                    score=score,
                    found=bool(mask.any()),
                    reference=reference,
                    model=self._model.name,
                    picture=picture,
                )
            )
        return answers


class FrameTracker(Tracker[Answer]):
    """Asks each frame by itself, whatever the model.

    Args:
        model: any.
        check, objects: see `Tracker`.
        smoothing: share of the past in every answer (`tracking.smoothing`).
    """

    def __init__(
        self,
        model: AsksFrames,
        check: Check,
        objects: ReferenceLike | Mapping[Any, ReferenceLike | None],
        smoothing: float,
    ) -> None:
        self._model = model
        self._smooth = Smoothing(smoothing, model.preparation.threshold)
        super().__init__(check, objects)

    def _begin(self, name: Name, reference: Reference | None) -> None:
        """Nothing to prepare."""

    def _known(self, name: Name) -> bool:
        return self._objects.references[name] is not None

    def _answers(self, picture: Image.Image, given: Mapping[Name, NDArray[np.bool_]]) -> dict[Name, Segmentation]:
        asked = {name: reference for name, reference in self._objects.references.items() if reference is not None}
        answers = self._model.look_at(picture).segment(list(asked.values()))
        return {name: self._smooth(name, answer) for name, answer in zip(asked, answers, strict=True)}

    def needed(
        self, found: Sequence[Collection[Any]], shown: Mapping[int, Mapping[Any, NDArray[np.bool_]]]
    ) -> set[int]:
        """Those that smoothing has not forgotten; see `Tracker.needed`."""
        return set(range(max(0, len(found) - self._smooth.reach), len(found)))

    def _recall(
        self,
        picture: Image.Image,
        found: Mapping[Name, NDArray[np.bool_]],
        given: Mapping[Name, NDArray[np.bool_]],
    ) -> None:
        # What is smoothed are probabilities, of which the answers tell too little.
        self._answers(picture, given)


def _picture_of(frame: PictureSource | Frame) -> Image.Image:
    return read_picture(frame.picture if isinstance(frame, Frame) else frame)
