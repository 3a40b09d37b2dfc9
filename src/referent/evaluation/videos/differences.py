"""Paired differences between results on videos, with bootstrap intervals over videos."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from referent.errors import DataError
from referent.evaluation.differences import Paired
from referent.evaluation.result import Bootstrap
from referent.evaluation.videos.journal import LINES, read_journal
from referent.evaluation.videos.protocols import VideoProtocol
from referent.evaluation.videos.result import FORMAT, VideoResult
from referent.evaluation.videos.scores import drawn_video_scores
from referent.evaluation.videos.tracks import Track

Tracks = Mapping[str, Sequence[Track]]


@dataclass(frozen=True)
class ProtocolVideoDifferences:
    """What one protocol says.

    Attributes:
        protocol: its rules.
        numbers: each of every result, over the videos that all of them answered.
        sequences: J&F for each of these videos: of each result, in their order.
    """

    protocol: VideoProtocol
    numbers: Mapping[str, Paired]
    sequences: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class VideoDifferences:
    """Results on one split of one data set.

    Attributes:
        dataset, split: what was asked.
        names: of the results' files; the first is what the others are compared with.
        videos: how many all of them answered; only these are compared.
        settings: what the results were made with, as far as it differs: name to one value a result.
        protocols: by name.
        bootstrap: how the intervals were made.
    """

    dataset: str
    split: str | None
    names: tuple[str, ...]
    videos: int
    settings: Mapping[str, tuple[str, ...]]
    protocols: Mapping[str, ProtocolVideoDifferences]
    bootstrap: Bootstrap

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content


def is_of_videos(path: Path) -> bool:
    """Whether a file is a result on videos; what cannot be read is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "video_format" in content


def read_video_result(path: Path) -> VideoResult:
    """A result file, as `evaluate_videos` returned it; paths in it that were relative to the file are made whole.

    Raises:
        DataError: missing, not a result on videos, or of another version of the format.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["video_format"] != FORMAT:
            raise DataError(f"{path}: expected a result of format {FORMAT}, found {content['video_format']!r}")
        result = TypeAdapter(VideoResult).validate_python(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise DataError(f"{path}: {place}: {error.errors()[0]['msg']}; evaluate again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected a result on videos, written by `referent evaluate --out`") from error
    return result.at(lambda file: str(path.parent / file))


def video_differences(paths: Sequence[Path], protocols: Iterable[str] = (), replicates: int = 1000) -> VideoDifferences:
    """What the second and each further result differ by from the first.

    Args:
        paths: two or more results on the same data set and split, made with `--save`.
        protocols: only these; all in common when empty.
        replicates: of the bootstrap over videos, the same draws for all results.

    Raises:
        DataError: a file cannot be read, has no saved answers, or they do not compare.
    """
    results = [read_video_result(path) for path in paths]
    first = results[0]
    for path, result in zip(paths, results, strict=True):
        if (result.dataset, result.split) != (first.dataset, first.split):
            raise DataError(
                f"{path}: is about {result.dataset}, split {result.split}; {paths[0]} about {first.dataset}, split "
                f"{first.split}"
            )
    if len(results) < 2:
        raise DataError(f"{paths[0]}: no other result of the same data set and split to compare with")
    tracks = _shared([_tracks(path, result) for path, result in zip(paths, results, strict=True)])
    chosen = _common_protocols(results, list(protocols))
    return VideoDifferences(
        first.dataset,
        first.split,
        tuple(str(path) for path in paths),
        len(tracks[0]),
        _settings(results),
        {protocol.name: _differences(protocol, tracks, replicates) for protocol in chosen},
        Bootstrap(replicates, 0, over="videos"),
    )


def _tracks(path: Path, result: VideoResult) -> Tracks:
    if result.predictions is None:
        raise DataError(f"{path}: has numbers only; evaluate again with --save FOLDER")
    return {name: some for name, some in read_journal(Path(result.predictions) / LINES) if some}


def _shared(tracks: Sequence[Tracks]) -> list[Tracks]:
    """Of each result the videos that all have, which must have the same objects in the same frames."""
    names = [name for name in tracks[0] if all(name in one for one in tracks)]
    if not names:
        raise DataError("the results share no video")
    for name in names:
        asked = [[(track.name, track.annotator, track.frames) for track in one[name]] for one in tracks]
        if any(one != asked[0] for one in asked):
            raise DataError(f"video {name}: the results were asked about other objects or frames; the data has changed")
    return [{name: one[name] for name in names} for one in tracks]


def _common_protocols(results: Sequence[VideoResult], asked: Sequence[str]) -> list[VideoProtocol]:
    first, *others = ([one.protocol for one in result.scores.values()] for result in results)
    common = [protocol for protocol in first if all(protocol in some for some in others)]
    chosen = [protocol for protocol in common if not asked or protocol.name in asked]
    if not chosen:
        there = ", ".join(protocol.key for protocol in common) or "none"
        raise DataError(f"protocols: the results share {there}" + (f"; asked for {', '.join(asked)}" if asked else ""))
    return chosen


def _settings(results: Sequence[VideoResult]) -> dict[str, tuple[str, ...]]:
    names = ("model", "weights_sha256", "given", "smoothing", "procedure")
    rows = {name: tuple(str(getattr(result, name)) for result in results) for name in names}
    return {name: values for name, values in rows.items() if len(set(values)) > 1}


def _differences(protocol: VideoProtocol, tracks: Sequence[Tracks], replicates: int) -> ProtocolVideoDifferences:
    drawn = [drawn_video_scores(protocol, one, replicates) for one in tracks]
    numbers = {
        name: Paired(
            tuple(one[name].interval() for one in drawn),
            tuple((one[name] - drawn[0][name]).interval() for one in drawn[1:]),
        )
        for name in protocol.numbers
    }
    sequences = {
        name: tuple(drawn_video_scores(protocol, {name: one[name]}, 0)["J&F"].interval().value for one in tracks)
        for name in tracks[0]
    }
    return ProtocolVideoDifferences(protocol, numbers, sequences)
