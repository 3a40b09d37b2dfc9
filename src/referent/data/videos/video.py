"""A video on disk, as the data sets hold it: frames, objects, the masks of its frames, expressions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError

Task = Literal["semi-supervised", "unsupervised", "referring"]
"""What is given: the masks with which objects begin, nothing, or expressions."""


@dataclass(frozen=True)
class FrameTruth:
    """What is known of one frame.

    Attributes:
        masks: (H, W) bool by the object's number, at least one pixel each; they may overlap where the data set's do.
        void: (H, W) bool: pixels of which nobody says what they are; None where there are none.
    """

    masks: Mapping[int, NDArray[np.bool_]]
    void: NDArray[np.bool_] | None = None


class Masks(Protocol):
    """The masks of one video, read when asked for."""

    @property
    def annotated(self) -> Sequence[int]:
        """Indices of the frames whose masks are known, ascending; a frame without any object may be one of them."""
        ...

    def at(self, frame: int) -> FrameTruth:
        """Of an annotated frame.

        Raises:
            DataError: a mask that cannot be read, or of another size than the frames.
        """
        ...


@dataclass(frozen=True)
class VideoObject:
    """One object of a video.

    Attributes:
        number: of the object in masks, 1 or greater.
        first: index of the frame in which it begins: the first whose mask is known; 0 in sets where expressions tell
            what to find.
        category: what it is, where the data set says so.
        seen: whether there is its like in the training split, where the data set asks for a difference.
        last: index of the last frame that a score counts; None for the video's last.
    """

    number: int
    first: int = 0
    category: str | None = None
    seen: bool | None = None
    last: int | None = None


@dataclass(frozen=True)
class Expression:
    """A phrase about a video.

    Attributes:
        id: unique within its video.
        text: the phrase, as it was written.
        objects: numbers of the objects it is true of; none where the data set keeps them secret.
        annotator: who wrote it, from 0, where several have described the same objects.
        first_frame: whether its writer saw the first frame only.
    """

    id: str
    text: str
    objects: tuple[int, ...] = ()
    annotator: int = 0
    first_frame: bool = False


@dataclass(frozen=True)
class Video:
    """One video.

    Attributes:
        name: unique within its data set.
        frames: paths of the pictures, in order. What the data set left out of a film's frames is not there: indices
            count these.
        size: (height, width) of every frame.
        objects: that have masks, in order of their numbers.
        masks: of the frames.
        expressions: phrases about it.
    """

    name: str
    frames: tuple[Path, ...]
    size: tuple[int, int]
    objects: tuple[VideoObject, ...]
    masks: Masks = field(repr=False)
    expressions: tuple[Expression, ...] = ()

    @property
    def spoken_name(self) -> str:
        """The name as a phrase: "scooter-gray" is "scooter gray", "dog2" is "dog"; empty for a mere number."""
        return " ".join(re.sub(r"[\d_-]+", " ", self.name).split())


@dataclass(frozen=True)
class VideoSet:
    """An ordered, finite set of videos.

    Attributes:
        name: printed in results.
        family: what decides how it is scored: "davis", "youtube-vos", "lvos", "mose", "ovis", "ref-davis",
            "ref-youtube-vos", "mevis".
        task: what is given to whoever follows the objects.
        videos: in the order of the set's list, or by name.
        split: "train", "val", ...; None for all there is.
        problems: what was left out of it because it is wrong.
    """

    name: str
    family: str
    task: Task
    videos: Sequence[Video] = field(repr=False)
    split: str | None = None
    problems: tuple[str, ...] = ()

    def without(self, names: Sequence[str]) -> VideoSet:
        """The same set with the videos of these names held out.

        Raises:
            DataError: no such video.
        """
        return self._chosen(names, kept=False)

    def only(self, names: Sequence[str]) -> VideoSet:
        """The same set with the videos of these names alone.

        Raises:
            DataError: no such video.
        """
        return self._chosen(names, kept=True)

    def _chosen(self, names: Sequence[str], kept: bool) -> VideoSet:
        known = {video.name for video in self.videos}
        for name in names:
            if name not in known:
                raise DataError(f"{self.name}: no video {name!r}; there are: {', '.join(sorted(known))}")
        videos = [video for video in self.videos if (video.name in names) is kept]
        return replace(self, videos=videos)
