"""What is asked about one video in one pass, and with what the answers are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from referent.data.videos.video import Expression, FrameTruth, Video, VideoObject, VideoSet
from referent.errors import DataError
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.tracks import MOST_ANSWERS
from referent.reference import Phrase, Reference

Given = Literal["mask", "phrase", "both"]
"""What says which objects are meant: the masks with which they begin, phrases, or both."""


@dataclass(frozen=True)
class Question:
    """One pass over a video.

    Attributes:
        names: of the answers, by number from 1 on: of objects, or ids of expressions.
        references: of the same, phrases; None where a mask says it all.
        shown: indices of the frames whose masks are shown, with the objects that are shown there.
        asked: number of the object that a mask shows or a name means, or numbers of all that an expression is true of;
            nothing where the data set keeps that secret.
        annotator: whose expressions these are.
        folder: of its answers, within those of the data set.
    """

    names: Mapping[int, str]
    references: Mapping[int, Reference | None]
    asked: Mapping[int, tuple[int, ...]]
    shown: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    annotator: int = 0
    folder: str = ""

    @property
    def first(self) -> int:
        """Index of the frame before which nothing can be answered."""
        return 0 if any(self.references.values()) else min(self.shown, default=0)

    def truth(self, frame: FrameTruth) -> FrameTruth:
        """The masks of a frame by number of the answer; what an expression is true of together."""
        masks = {}
        for number, objects in self.asked.items():
            there = [frame.masks[one] for one in objects if one in frame.masks]
            if there:
                masks[number] = np.logical_or.reduce(there)
        return FrameTruth(masks, frame.void)


def questions(video: Video, videos: VideoSet, given: Given, protocol: VideoProtocol) -> list[Question]:
    """All passes over one video.

    Raises:
        DataError: objects without phrases are to be found by phrase.
    """
    if videos.task == "referring":
        return _of_expressions(video, protocol)
    if videos.task == "unsupervised":
        free = range(1, MOST_ANSWERS + 1)
        names = {number: str(number) for number in free}
        return [Question(names, dict.fromkeys(free), {number: (number,) for number in free})]
    phrases = _spoken(video) if given != "mask" else {}
    shown: dict[int, tuple[int, ...]] = {}
    if given != "phrase":
        for item in video.objects:
            shown[item.first] = (*shown.get(item.first, ()), item.number)
    numbers = [item.number for item in video.objects]
    return [
        Question(
            names={number: str(number) for number in numbers},
            references={number: phrases.get(number) for number in numbers},
            asked={number: (number,) for number in numbers},
            shown=shown,
        )
    ]


def _of_expressions(video: Video, protocol: VideoProtocol) -> list[Question]:
    groups: dict[int, list[Expression]] = {}
    for expression in video.expressions:
        groups.setdefault(expression.annotator if protocol.rivals else 0, []).append(expression)
    if not groups:
        raise DataError(f"video {video.name}: has no expressions")
    return [
        Question(
            names={number: one.id for number, one in enumerate(group, start=1)},
            references={number: Reference(Phrase(one.text)) for number, one in enumerate(group, start=1)},
            asked={number: one.objects for number, one in enumerate(group, start=1)},
            annotator=annotator,
            folder=f"annotator_{annotator}" if len(groups) > 1 else "",
        )
        for annotator, group in sorted(groups.items())
    ]


def _spoken(video: Video) -> dict[int, Reference]:
    """A phrase for each object: the first expression about it alone, or else the video's name."""
    if len(video.objects) == 1 and not video.expressions and video.spoken_name:
        return {video.objects[0].number: Reference(Phrase(video.spoken_name))}
    said: dict[int, Reference] = {}
    for expression in video.expressions:
        if len(expression.objects) == 1:
            said.setdefault(expression.objects[0], Reference(Phrase(expression.text)))
    without = [str(item.number) for item in video.objects if item.number not in said]
    if without:
        raise DataError(
            f"video {video.name}: no phrase says which object {', '.join(without)} of {len(video.objects)} is; the "
            "name of a sequence does where it is a word and there is one object"
        )
    return said


def object_of(video: Video, number: int) -> VideoObject:
    """What is known of an object; of one that the data set does not list, nothing but its number."""
    return next((item for item in video.objects if item.number == number), VideoObject(number))
