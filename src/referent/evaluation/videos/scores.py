"""From J and F of every object in every frame to the numbers of a protocol, with a bootstrap over videos."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from referent.evaluation.metrics import REPLICATES, Draws, Interval, ratios
from referent.evaluation.videos.measures import decay, recall
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.tracks import Track

Floats = NDArray[np.float64]

_PARTS: Mapping[str, tuple[str, ...]] = {
    "J&F": ("J", "F"),
    "G": ("J-seen", "J-unseen", "F-seen", "F-unseen"),
}
"""Numbers that are means of others."""


def video_scores(
    protocol: VideoProtocol, tracks: Mapping[str, Sequence[Track]], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """All numbers of one protocol.

    * J, F: mean over the frames of an object, then over objects; J&F: mean of the two.
    * J-recall, J-decay, F-recall, F-decay: `measures.recall` and `measures.decay` of an object, mean over objects.
    * J-seen, J-unseen, F-seen, F-unseen: J and F of the objects of a kind that was seen in training, or of a new one;
      G: mean of the four.
    * V: root of the mean squared distance of (J + F) / 2 from its mean over an object's frames, mean over objects, or
      mean of seen and unseen ones where these are told apart.

    Args:
        protocol: its rules.
        tracks: by video.
        replicates, seed: of the bootstrap, which draws videos.
    """
    return {name: draws.interval() for name, draws in drawn_video_scores(protocol, tracks, replicates, seed).items()}


def drawn_video_scores(
    protocol: VideoProtocol, tracks: Mapping[str, Sequence[Track]], replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Draws]:
    """`video_scores` before their intervals, for differences between two models."""
    rows = [
        (video, track, values)
        for video, (_, some) in enumerate(tracks.items())
        for track in some
        if (values := track.values(protocol.frames)).size
    ]
    measured = {name: np.array([of(values) for _, _, values in rows]) for name, of in _MEASURES.items()}
    groups = {"": np.ones(len(rows), dtype=bool)}
    for suffix, value in (("-seen", True), ("-unseen", False)):
        groups[suffix] = np.array([track.seen is value for _, track, _ in rows], dtype=bool)
    columns = {
        name + suffix: (values * members, members.astype(float))
        for name, values in measured.items()
        for suffix, members in groups.items()
    }
    above, below = (np.stack(part, axis=1) for part in zip(*columns.values(), strict=True))
    videos = np.array([video for video, _, _ in rows], dtype=np.int64)
    found = dict(zip(columns, ratios(above, below, videos, replicates, seed), strict=True))
    for name, parts in _PARTS.items():
        found[name] = _mean([found[part] for part in parts])
    if groups["-unseen"].any():
        found["V"] = _mean([found["V-seen"], found["V-unseen"]])
    return {name: found[name] for name in protocol.numbers}


def spread(values: Floats) -> float:
    """LVOS's V of one object.

    Args:
        values: (2, T) J and F.
    """
    both = values.mean(axis=0)
    return math.sqrt(round(float(((both - both.mean()) ** 2).mean()), 4))


_MEASURES: Mapping[str, Callable[[Floats], float]] = {
    "J": lambda values: float(values[0].mean()),
    "J-recall": lambda values: recall(values[0]),
    "J-decay": lambda values: decay(values[0]),
    "F": lambda values: float(values[1].mean()),
    "F-recall": lambda values: recall(values[1]),
    "F-decay": lambda values: decay(values[1]),
    "V": spread,
}


def _mean(numbers: Sequence[Draws]) -> Draws:
    """Not defined where one of them is not."""
    value = float(np.mean([number.value for number in numbers]))
    return Draws(value, np.mean([number.drawn for number in numbers], axis=0))
