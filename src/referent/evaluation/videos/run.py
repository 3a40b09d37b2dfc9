"""One pass over a set of videos, scored under several protocols."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from referent.data.videos.video import Video, VideoObject, VideoSet
from referent.errors import DataError, ReferentError
from referent.evaluation import environment
from referent.evaluation.metrics import REPLICATES
from referent.evaluation.progress import counted
from referent.evaluation.result import Bootstrap
from referent.evaluation.run import tensor_digest
from referent.evaluation.videos.following import Following, Source, Written
from referent.evaluation.videos.journal import VideoHeader, VideoJournal
from referent.evaluation.videos.protocols import VideoProtocol, find_video_protocols
from referent.evaluation.videos.questions import Given, Question, object_of, questions
from referent.evaluation.videos.result import ProtocolVideoScores, VideoFailure, VideoResult, VideoScores
from referent.evaluation.videos.scores import video_scores
from referent.evaluation.videos.tracks import MOST_ANSWERS, Comparison, Track
from referent.tracking.procedure import procedure_of

if TYPE_CHECKING:
    from referent.asking import AnySegmenter

Tracks = Mapping[str, Sequence[Track]]
Advance: TypeAlias = Callable[[Video], object]
"""Called after every frame."""
DIGITS = 6
"""Of J and F of a frame, as they are kept."""

_log = logging.getLogger("referent")


def evaluate_videos(
    segmenter: AnySegmenter,
    videos: VideoSet,
    protocols: Sequence[str],
    *,
    given: Given = "mask",
    procedure: str | None = None,
    smoothing: float = 0.0,
    save: Path | None = None,
    where: Sequence[str] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
    weights_sha256: str | None = None,
    command: str | None = None,
    data: str | None = None,
    progress: bool = False,
) -> VideoResult:
    """Follow every object of every video, compare, and count.

    A video that cannot be answered is left out of the numbers and named in `VideoResult.failed`.

    Args:
        segmenter: the model to score.
        videos: what to ask.
        protocols: names of `VIDEO_PROTOCOLS`; all are scored in the same pass.
        given: what says which objects are meant, where the task does not. By phrase, that is an expression about the
            object, or else the name of the sequence.
        procedure: by which a model that remembers follows the objects (`tracking.procedure`); None for the first
            protocol's.
        smoothing: see `AnySegmenter.track`.
        save: answers are written into this folder (see `journal`); an interrupted run with the same model, data and
            protocols continues after the last video that was done.
        where: names of the videos to ask; all where there are none.
        replicates, seed: of the bootstrap over videos; 0 replicates give no intervals.
        weights_sha256: of the model's weight file; found from its tensors when answers are saved without it.
        command, data: kept in the result, see there.
        progress: show a bar on standard error when that is a terminal.

    Raises:
        ReferentError: no such procedure, or one for a model that sees each frame alone.
        DataError: unknown protocols or videos, protocols that do not fit the data or each other, a model that cannot
            take what is given, `save` holds another run, or every video failed.
    """
    chosen = find_video_protocols(protocols, videos.task)
    if videos.task == "unsupervised":
        raise DataError(f"{videos.name}: asks nothing of a tracker; score a folder of answers: `referent data score`")
    if videos.task == "referring":
        given = "phrase"
    _check_kinds(segmenter, given)
    if save is not None and weights_sha256 is None:
        weights_sha256 = f"tensors:{tensor_digest(segmenter)}"
    followed = _procedure(segmenter, chosen[0], procedure)
    source = Following(segmenter, chosen[0], followed, smoothing)
    precision = str(segmenter.engine.dtype).removeprefix("torch.")
    keys = [protocol.key for protocol in chosen]
    header = VideoHeader(
        segmenter.name, weights_sha256, precision, videos.name, videos.split, given, smoothing, keys, followed
    )
    run = _Run(source, videos.only(where) if where else videos, chosen, given)
    began = perf_counter()
    with ExitStack() as stack:
        journal = None if save is None else stack.enter_context(VideoJournal(save, header, chosen[0].rivals))
        run.ask(journal, progress)
    return run.result(
        header,
        where=where,
        bootstrap=Bootstrap(replicates, seed, over="videos"),
        seconds=perf_counter() - began,
        machine=environment.machine(segmenter.engine.device, segmenter.engine.dtype),
        command=command,
        data=data,
        predictions=None if save is None else str(save),
    )


def score_folder(
    folder: Path,
    videos: VideoSet,
    protocols: Sequence[str],
    *,
    where: Sequence[str] = (),
    replicates: int = REPLICATES,
    seed: int = 0,
    command: str | None = None,
    data: str | None = None,
    progress: bool = False,
) -> VideoResult:
    """The same for answers that lie in a folder as the servers take them; see `following.Written`.

    Raises:
        DataError: as `evaluate_videos`.
    """
    chosen = find_video_protocols(protocols, videos.task)
    given: Given = "phrase" if videos.task == "referring" else "mask"
    run = _Run(Written(folder, chosen[0]), videos.only(where) if where else videos, chosen, given)
    began = perf_counter()
    run.ask(None, progress)
    keys = [protocol.key for protocol in chosen]
    return run.result(
        VideoHeader(folder.resolve().name, None, "", videos.name, videos.split, given, 0.0, keys, None),
        where=where,
        bootstrap=Bootstrap(replicates, seed, over="videos"),
        seconds=perf_counter() - began,
        machine=None,
        command=command,
        data=data,
        predictions=str(folder),
    )


def _procedure(segmenter: AnySegmenter, protocol: VideoProtocol, asked: str | None) -> str | None:
    if "example" in segmenter.reference_kinds:
        return procedure_of(asked or protocol.procedure).name
    if asked is not None:
        raise ReferentError(f"procedure: expected none, as {segmenter.name} sees each frame alone, found {asked}")
    return None


def _check_kinds(segmenter: AnySegmenter, given: Given) -> None:
    wanted = {"mask": {"example"}, "phrase": {"phrase"}, "both": {"example", "phrase"}}[given]
    lacking = wanted - segmenter.reference_kinds
    if lacking:
        taken = " and ".join(sorted(f"{kind}s" for kind in segmenter.reference_kinds))
        raise DataError(
            f"{segmenter.name} takes {taken}, so nothing can be shown to it by {given}; use --reference phrase, or "
            "another model"
        )


class _Run:
    """What is known of the videos so far."""

    def __init__(self, source: Source, videos: VideoSet, protocols: Sequence[VideoProtocol], given: Given) -> None:
        self._source, self._videos, self._protocols, self._given = source, videos, protocols, given
        self._tracks: dict[str, tuple[Track, ...]] = {}
        self._failed: list[VideoFailure] = []
        self._frames = 0
        self._resumed = 0

    def ask(self, journal: VideoJournal | None, progress: bool) -> None:
        """All videos that are not done; a failure is kept, not raised.

        Raises:
            OSError, DataError: answers cannot be written, or none could be made.
        """
        known = {video.name for video in self._videos.videos}
        earlier = journal.earlier() if journal else {}
        self._tracks = {name: tracks for name, tracks in earlier.items() if name in known}
        self._resumed = len(self._tracks)
        waiting = [one for one in self._videos.videos if one.name not in self._tracks]
        with _bar(waiting, progress) as advance:
            self._ask(waiting, journal, advance)
        if not self._tracks:
            raise DataError(f"{self._videos.name}: no video could be answered; the first: {self._failed[0].error}")

    def _ask(self, videos: Sequence[Video], journal: VideoJournal | None, advance: Advance) -> None:
        for video in videos:
            try:
                tracks = self._followed(video, journal, advance)
            except OSError:
                # Whatever is wrong with a video was said by a ReferentError: this is the disk that is written to.
                raise
            except ReferentError as error:
                self._failed.append(VideoFailure(video.name, str(error)))
                continue
            except Exception as error:  # One video must not cost the run, whatever is wrong with it.
                _log.warning("%s: left out: %s", video.name, error, exc_info=True)
                self._failed.append(VideoFailure(video.name, f"{type(error).__name__}: {error}"))
                continue
            self._tracks[video.name] = tracks
            if journal is not None:
                journal.done(video, tracks)

    def result(
        self,
        header: VideoHeader,
        *,
        where: Sequence[str],
        bootstrap: Bootstrap,
        seconds: float,
        machine: Mapping[str, str | int] | None,
        command: str | None,
        data: str | None,
        predictions: str | None,
    ) -> VideoResult:
        """Everything that is known, with numbers where anything could be compared."""
        names = {video.name: video for video in self._videos.videos}
        tracks = {name: self._tracks[name] for name in names if name in self._tracks}
        scored = {name: some for name, some in tracks.items() if some}
        scores = {one.name: _scored(one, scored, bootstrap, self._notes(one)) for one in self._protocols if scored}
        spent = self._source.seconds
        return VideoResult(
            model=header.model,
            weights_sha256=header.weights_sha256,
            dataset=header.dataset,
            split=header.split,
            task=self._videos.task,
            given=self._given,
            smoothing=header.smoothing,
            procedure=header.procedure,
            where=tuple(where),
            videos=len(tracks),
            objects=sum(map(len, tracks.values())),
            frames=sum(len(names[name].frames) for name in tracks),
            failed=tuple(self._failed),
            problems=self._videos.problems,
            scores=scores,
            bootstrap=bootstrap,
            seconds=round(seconds, 3),
            model_seconds=round(spent, 3),
            frames_per_second=round(self._frames / spent, 2) if spent else None,
            resumed=self._resumed,
            machine=machine,
            versions=environment.versions(),
            command=command,
            data=data,
            predictions=predictions,
        )

    def _notes(self, protocol: VideoProtocol) -> tuple[str, ...]:
        notes = []
        if self._videos.task == "semi-supervised" and self._given != "mask":
            how = "phrases" if self._given == "phrase" else "first masks and phrases"
            notes.append(f"objects were given by {how}; the published numbers are of first masks alone")
        followed = self._source.procedure
        if followed is not None and followed != protocol.procedure:
            notes.append(f"followed as {followed}; the published numbers of UniRef++ as {protocol.procedure}")
        return tuple(notes)

    def _followed(self, video: Video, journal: VideoJournal | None, advance: Advance) -> tuple[Track, ...]:
        tracks: list[Track] = []
        for question in questions(video, self._videos, self._given, self._protocols[0]):
            comparison = self._comparison(video, question)
            annotated = frozenset(video.masks.annotated)
            for frame, answers in self._source.answers(video, question):
                self._frames += 1
                advance(video)
                if comparison is not None and frame in annotated:
                    truth = video.masks.at(frame)
                    comparison.add(frame, truth if self._matched else question.truth(truth), answers, video.size)
                if journal is not None:
                    journal.keep(video, question, frame, answers)
            if comparison is not None:
                tracks += self._compared(video, question, comparison)
        return tuple(tracks)

    def _compared(self, video: Video, question: Question, comparison: Comparison) -> Iterator[Track]:
        of_expressions = self._videos.task == "referring" and not self._matched
        end = len(video.frames) - 1
        for number, values in comparison.values().items():
            item = VideoObject(number) if of_expressions else object_of(video, number)
            yield Track(
                name=question.names[number] if of_expressions else str(number),
                frames=tuple(comparison.frames),
                region=tuple(np.round(values[0], DIGITS).tolist()),
                boundary=tuple(np.round(values[1], DIGITS).tolist()),
                first=item.first,
                last=end if item.last is None else item.last,
                seen=item.seen,
                annotator=question.annotator,
            )

    @property
    def _matched(self) -> bool:
        return self._protocols[0].matched

    def _comparison(self, video: Video, question: Question) -> Comparison | None:
        """None where nothing of the video but what was shown is known."""
        shown = set(question.shown)
        if not set(video.masks.annotated) - shown or not all(question.asked.values()):
            return None
        if not self._matched:
            return Comparison(list(question.asked), list(question.asked), {number: number for number in question.asked})
        if len(question.asked) > MOST_ANSWERS:
            raise DataError(f"video {video.name}: expected at most {MOST_ANSWERS} answers, found {len(question.asked)}")
        return Comparison([item.number for item in video.objects], list(question.asked), None)


def _scored(
    protocol: VideoProtocol, tracks: Tracks, bootstrap: Bootstrap, notes: tuple[str, ...]
) -> ProtocolVideoScores:
    annotators = sorted({track.annotator for some in tracks.values() for track in some})
    by_annotator = {
        f"annotator {annotator}": _scores(protocol, _of_annotator(tracks, annotator), bootstrap)
        for annotator in (annotators if len(annotators) > 1 else ())
    }
    alone = Bootstrap(0, bootstrap.seed, over="videos")
    sequences = {name: _scores(protocol, {name: some}, alone) for name, some in tracks.items()}
    return ProtocolVideoScores(protocol, _scores(protocol, tracks, bootstrap), by_annotator, sequences, notes)


def _of_annotator(tracks: Tracks, annotator: int) -> Tracks:
    return {name: [track for track in some if track.annotator == annotator] for name, some in tracks.items()}


def _scores(protocol: VideoProtocol, tracks: Tracks, bootstrap: Bootstrap) -> VideoScores:
    counted = [[track for track in some if track.values(protocol.frames).size] for some in tracks.values()]
    return VideoScores(
        videos=sum(map(bool, counted)),
        objects=sum(map(len, counted)),
        numbers=video_scores(protocol, tracks, bootstrap.replicates, bootstrap.seed),
    )


@contextmanager
def _bar(videos: Sequence[Video], progress: bool) -> Iterator[Advance]:
    """Counts frames; a video of several expressions' annotators counts once for each of them."""
    total = sum(len(video.frames) * len({one.annotator for one in video.expressions} or {0}) for video in videos)
    with counted("frames", total, progress) as advance:
        yield lambda video: advance(1, video.name)
