"""The result of an evaluation on videos and its JSON file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from referent.evaluation.metrics import Interval
from referent.evaluation.result import Bootstrap, relative, write_json
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.questions import Given

FORMAT = 1


@dataclass(frozen=True)
class VideoScores:
    """Numbers over some of the objects, or expressions.

    Attributes:
        videos, objects: how many have a frame that counts.
        numbers: those of the protocol; `scores.video_scores` defines them. All but decays are in [0, 1].
    """

    videos: int
    objects: int
    numbers: Mapping[str, Interval]


@dataclass(frozen=True)
class ProtocolVideoScores:
    """What one protocol says.

    Attributes:
        protocol: all of its rules.
        overall: over all objects, or expressions.
        kinds: the same for the expressions of each annotator, where there are several.
        sequences: the same for each video, without intervals.
        notes: where these numbers were not made as the published ones were.
    """

    protocol: VideoProtocol
    overall: VideoScores
    kinds: Mapping[str, VideoScores]
    sequences: Mapping[str, VideoScores]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class VideoFailure:
    """A video that could not be answered; it is in no number.

    Attributes:
        video: its name.
        error: why.
    """

    video: str
    error: str


@dataclass(frozen=True)
class VideoResult:
    """An evaluation on videos.

    Attributes:
        model: name of the model, or of the folder of answers.
        weights_sha256: of its weight file; for a model that is only in memory "tensors:" and the sha256 of its tensors,
            or None where nobody asked for it; None for a folder of answers.
        dataset, split: what was asked.
        task: of the data set.
        given: what said which objects are meant.
        smoothing: see `AnySegmenter.track`.
        procedure: by which the objects were followed; None for a model that sees each frame alone, for a folder, and in
            results of earlier versions.
        where: names of the videos that were asked, empty for all.
        videos, objects, frames: answered videos, their objects or expressions, and their frames.
        failed: videos left out.
        problems: what was wrong with the data set and left out of it.
        scores: by name of the protocol; empty where nothing of the data is known that could be compared.
        bootstrap: how the intervals were made.
        seconds: of this run, model included.
        model_seconds: of it, inside the model with its preparation of frames.
        frames_per_second: of the model, in this run; None where it answered nothing.
        resumed: videos taken from an earlier, interrupted run (their time is not in `seconds`).
        machine, versions: where and with what it ran; the machine is unknown where answers came from a folder.
        command: that made it; None when it was made from Python.
        data: path of the data set.
        predictions: folder with the answers, None where they were not kept. In a result file it is relative to that
            file, so that the two can be moved together; `data` likewise.
    """

    model: str
    weights_sha256: str | None
    dataset: str
    split: str | None
    task: str
    given: Given
    smoothing: float
    where: tuple[str, ...]
    videos: int
    objects: int
    frames: int
    failed: tuple[VideoFailure, ...]
    problems: tuple[str, ...]
    scores: Mapping[str, ProtocolVideoScores]
    bootstrap: Bootstrap
    seconds: float
    model_seconds: float
    frames_per_second: float | None
    resumed: int
    machine: Mapping[str, str | int] | None
    versions: Mapping[str, str]
    command: str | None = None
    data: str | None = None
    predictions: str | None = None
    procedure: str | None = None
    video_format: int = field(default=FORMAT)

    def number(self, name: str, protocol: str | None = None, video: str | None = None) -> Interval:
        """One number: `result.number("J&F")`, under the first protocol and over all videos unless said otherwise.

        Raises:
            KeyError: no such number, protocol or video in this result.
        """
        chosen = self.scores[protocol or next(iter(self.scores))]
        return (chosen.sequences[video] if video else chosen.overall).numbers[name]

    def at(self, place: Callable[[str], str]) -> VideoResult:
        """The same with `place` done to the path of everything it names."""
        data, predictions = self.data, self.predictions
        return replace(self, data=data and place(data), predictions=predictions and place(predictions))

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def save(self, path: str | Path) -> None:
        """The result as JSON at `path`, all of it or nothing.

        Raises:
            OSError: the folder is missing, not writable or full.
        """
        write_json(self.at(lambda file: relative(file, Path(path).parent)).to_json(), path)
