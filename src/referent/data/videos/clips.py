"""Two frames of a video as one visit of a training: an earlier frame with its mask shows what to find in a later one.

The rule is UniRef++'s (third stage): a frame by chance and another at most ten frames away from it; the earlier one is
the reference; one object that both show, by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.data.sample import Sample
from referent.data.videos.video import Video, VideoSet
from referent.errors import DataError
from referent.reference import Example, Phrase, Reference
from referent.rle import RLE, encode

WINDOW = 10
"""UniRef++'s `SAMPLING_FRAME_RANGE`: how far apart two frames may be, in frames of the data set."""

Shown: TypeAlias = tuple[int, Mapping[int, NDArray[np.bool_]]]
"""Index of a frame, and the masks of the objects that it shows."""


@dataclass(frozen=True)
class Clip:
    """What a batch of clips counts: one video.

    Attributes:
        video: at least two of its frames are annotated.
        numbers: of the objects that may be asked for.
        phrases: about each object, by its number; an object without one is shown by example alone.
        phrase_only: share of the visits to an object with phrases that get no example (UniRef++'s is 0.4 on
            Ref-YouTube-VOS).
        window: see `WINDOW`.
        split: of the samples.
    """

    video: Video
    numbers: tuple[int, ...]
    phrases: Mapping[int, Sequence[str]] = field(default_factory=dict)
    phrase_only: float = 0.0
    window: int = WINDOW
    split: str = "train"

    @property
    def cost(self) -> float:
        """Pixels of the two frames, which decide how long loading takes."""
        height, width = self.video.size
        return 2.0 * height * width

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.video.size

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """One sample: its picture is the later frame; its example the earlier frame with the object's mask there.

        Where no two frames within the window show the same object, one frame is both, as a single picture would be.

        Args:
            generator: decides frames, object, phrase, and whether the example is left out.

        Raises:
            DataError: no frame shows any of the objects, or a mask cannot be read.
        """
        (earlier, known), (later, wanted) = self._pair(generator)
        number = int(generator.choice(sorted(known.keys() & wanted.keys())))
        example = Example(self.video.frames[earlier], encode(known[number]))
        reference = self._reference(number, example, generator)
        return [self._sample(number, later, reference, encode(wanted[number]))]

    def _pair(self, generator: np.random.Generator) -> tuple[Shown, Shown]:
        """An earlier and a later frame that show the same object."""
        frames = np.array(self.video.masks.annotated)
        alone: Shown | None = None
        # The first pair will nearly always do: masks of others are not read.
        for frame in generator.permutation(frames).tolist():
            shown = self._shown(frame)
            if not shown[1]:
                continue
            for other in generator.permutation(frames[np.abs(frames - frame) <= self.window]).tolist():
                if other != frame and shown[1].keys() & (seen := self._shown(other))[1].keys():
                    return (shown, seen) if frame < other else (seen, shown)
            alone = alone or shown
        if alone is None:
            raise DataError(f"video {self.video.name}: no frame shows object {', '.join(map(str, self.numbers))}")
        return alone, alone

    def _shown(self, frame: int) -> Shown:
        masks = self.video.masks.at(frame).masks
        return frame, {number: masks[number] for number in self.numbers if number in masks}

    def _reference(self, number: int, example: Example, generator: np.random.Generator) -> Reference:
        phrases = self.phrases.get(number, ())
        if not phrases:
            return Reference(examples=(example,))
        phrase = Phrase(phrases[int(generator.integers(len(phrases)))])
        alone = generator.random() < self.phrase_only
        return Reference(phrase, () if alone else (example,))

    def _sample(self, number: int, frame: int, reference: Reference, target: RLE) -> Sample:
        video = self.video
        return Sample(
            id=f"{video.name}/{video.frames[frame].stem}/{number}",
            picture=video.frames[frame],
            size=video.size,
            reference=reference,
            targets=(target,),
            split=self.split,
            tags={"kind": "clip", "video": video.name},
        )


def clips(
    videos: VideoSet, *, spoken_names: bool = False, phrase_only: float = 0.0, window: int = WINDOW
) -> list[Clip]:
    """Every video of a set as an item of training, in the set's order.

    A set with expressions gives one item for each object that some expression is true of alone, with those as its
    phrases; another one an item for each video.

    Args:
        videos: hold sequences out with `VideoSet.without`.
        spoken_names: use a video's name as a phrase about its object, where it has one object and no expressions.
        phrase_only: see `Clip`.
        window: see `WINDOW`.

    Raises:
        DataError: no video has two annotated frames.
    """
    items: list[Clip] = []
    for video in videos.videos:
        if len(video.masks.annotated) < 2:
            continue
        said = _phrases(video, spoken_names)
        groups = [(number,) for number in said] if video.expressions else [tuple(one.number for one in video.objects)]
        items += [Clip(video, group, said, phrase_only, window, videos.split or "train") for group in groups]
    if not items:
        raise DataError(f"{videos.name}: expected videos with masks on two frames or more, found none")
    return items


def _phrases(video: Video, spoken_names: bool) -> dict[int, list[str]]:
    said: dict[int, list[str]] = {}
    for expression in video.expressions:
        if len(expression.objects) == 1:
            said.setdefault(expression.objects[0], []).append(expression.text)
    if spoken_names and not video.expressions and len(video.objects) == 1 and video.spoken_name:
        said[video.objects[0].number] = [video.spoken_name]
    return said
