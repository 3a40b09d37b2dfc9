"""One pass of a segmenter over a data set, scored under several protocols."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from referent.data.published.refer import Wording
from referent.data.sample import Dataset, Sample
from referent.errors import DataError, ReferentError
from referent.evaluation import environment, metrics
from referent.evaluation.comparison import Comparison
from referent.evaluation.few_shot import FewShotScores, few_shot_scores
from referent.evaluation.notes import notes
from referent.evaluation.predictions import Answer, Header, PredictionFile
from referent.evaluation.progress import counted
from referent.evaluation.protocols import CLASS, Protocol, find
from referent.evaluation.result import Bootstrap, Case, Failure, ProtocolScores, Result, Scores
from referent.evaluation.selection import Where, select
from referent.evaluation.source import Source
from referent.rle import encode

if TYPE_CHECKING:
    from referent.asking import AnySegmenter
    from referent.segmentation import Segmentation

# Probability maps held at once: 16 phrases on a picture of two megapixels, 128 MB.
PIXELS_AT_ONCE = 32_000_000
PHRASES_AT_ONCE = 64
WORST_KEPT = 12

_log = logging.getLogger("referent")


def evaluate(
    segmenter: AnySegmenter,
    dataset: Dataset,
    protocols: Sequence[str] = ("referent",),
    *,
    save: str | Path | None = None,
    where: Where | None = None,
    smallest: float = 0,
    limit: int | None = None,
    replicates: int = metrics.REPLICATES,
    seed: int = 0,
    weights_sha256: str | None = None,
    command: str | None = None,
    source: Source | None = None,
    progress: bool = False,
) -> Result:
    """Ask every phrase of a data set, compare, and count.

    Phrases are grouped by picture, so that each picture is encoded once. Probability maps live for one picture only;
    what is kept of a phrase are a few integers. A picture that cannot be answered is left out of the numbers and
    named in `Result.failed`.

    Args:
        segmenter: the model to score.
        dataset: what to ask.
        protocols: names of `PROTOCOLS`; all are scored in the same pass.
        save: predictions are written here as JSON lines (see `evaluation.predictions`); an interrupted run with the
            same model, data and protocols continues where it stopped.
        where, smallest: only samples with these tags, `{"kind": ["name"]}`, and with targets of at least this share of
            their picture; see `selection.select`.
        limit: only the first so many of them.
        replicates, seed: of the bootstrap over pictures; 0 replicates give no intervals.
        weights_sha256: of the model's weight file; found from its tensors when predictions are saved without it.
        command, source: kept in the result, see there.
        progress: show a bar on standard error when that is a terminal.

    Raises:
        DataError: no samples, an unknown protocol or tag value, samples that a protocol cannot score, `save` holds
            another run, or every picture failed.
    """
    chosen = find(protocols)
    samples = _sampled(dataset, where or {}, smallest, limit)
    counted = [protocol.counted(samples) for protocol in chosen]
    if save is not None and weights_sha256 is None:
        weights_sha256 = f"tensors:{tensor_digest(segmenter)}"
    split = ",".join(sorted({sample.split for sample in dataset.samples}))
    began = perf_counter()
    run = _Run(segmenter, chosen, counted, samples, "raw" if source and source.raw else "sent", dataset.notes)
    with ExitStack() as stack:
        file = None
        if save is not None:
            keys = [protocol.key for protocol in chosen]
            threshold = segmenter.preparation.threshold
            precision = str(segmenter.engine.dtype).removeprefix("torch.")
            header = Header(segmenter.name, weights_sha256, precision, dataset.name, split, keys, threshold)
            file = stack.enter_context(PredictionFile(Path(save), header))
            run.take(file.earlier({sample.id: sample for sample in samples}))
        for picture, rows in _shown(run.open_pictures(), len(samples), progress):
            run.ask(picture, rows, file)
    if not run.answered.any():
        raise DataError(f"{dataset.name}: no picture could be answered; the first: {run.failed[0].error}")
    return Result(
        model=segmenter.name,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        split=split,
        where={tag: list(values) for tag, values in (where or {}).items()},
        smallest=smallest,
        limit=limit,
        phrases=int(run.answered.sum()),
        pictures=len(np.unique(run.picture[run.answered])),
        absent=int((run.answered & ~run.present).sum()),
        failed=tuple(run.failed),
        scores={protocol.name: run.scores(index, replicates, seed) for index, protocol in enumerate(chosen)},
        auroc=run.auroc(replicates, seed),
        worst=run.worst(),
        bootstrap=Bootstrap(replicates, seed),
        seconds=round(perf_counter() - began, 3),
        model_seconds=round(run.model_seconds, 3),
        resumed=run.resumed,
        machine=environment.machine(segmenter.engine.device, segmenter.engine.dtype),
        versions=environment.versions(),
        command=command,
        predictions=None if save is None else str(save),
        source=source,
        missing=dataset.missing,
        counters=dict(run.counters),
        few_shot=run.few_shot(),
    )


def _sampled(dataset: Dataset, where: Where, smallest: float, limit: int | None) -> list[Sample]:
    samples = select(dataset.samples, where, smallest)
    if limit is not None and limit < 1:
        raise DataError(f"limit: expected at least 1, found {limit}")
    if not samples:
        raise DataError(f"{dataset.name}: no samples to evaluate")
    return samples[:limit]


class _Run:
    """What is known of N samples so far, as arrays in their order.

    Attributes:
        answered, present: (N,) bool.
        counted: (protocols, N) bool, which phrases enter whose numbers.
        picture: (N,) int, the number of each sample's picture.
        score: (N,) float.
        counts: (protocols, N, 3): intersection, union, pixels of the answer.
        counters: sums of what the model counted.
    """

    def __init__(
        self,
        segmenter: AnySegmenter,
        protocols: Sequence[Protocol],
        counted: Sequence[Container[str]],
        samples: Sequence[Sample],
        wording: Wording,
        notes: Sequence[str],
    ) -> None:
        self._segmenter = segmenter
        self._notes = notes
        self._wording: Wording = wording
        self._protocols = protocols
        self._samples = samples
        self.counted = np.array([[sample.id in ids for sample in samples] for ids in counted], dtype=bool)
        numbers: dict[Path, int] = {}
        self.picture = np.array([numbers.setdefault(sample.picture, len(numbers)) for sample in samples])
        self._pixels = np.array([sample.size[0] * sample.size[1] for sample in samples])
        self._bordered = [row for row, sample in enumerate(samples) if sample.void]
        classes: dict[str, int] = {}
        self._classes = np.array([classes.setdefault(sample.tags.get(CLASS, ""), len(classes)) for sample in samples])
        self.answered = np.zeros(len(samples), dtype=bool)
        self.present = np.zeros(len(samples), dtype=bool)
        self.score = np.zeros(len(samples))
        self.counts = np.zeros((len(protocols), len(samples), 3))
        self.counters: Counter[str] = Counter()
        self.failed: list[Failure] = []
        self.model_seconds = 0.0
        self.resumed = 0

    def take(self, earlier: Iterator[tuple[str, Answer]]) -> None:
        """Answers of an interrupted run. A phrase that a protocol left out then, as it was asked among others, and
        counts now, is asked again."""
        rows = {sample.id: row for row, sample in enumerate(self._samples)}
        for name, answer in earlier:
            had = np.array([triple is not None for triple in answer.counts])
            if (had | ~self.counted[:, rows[name]]).all():
                self._keep(rows[name], answer)
        self.resumed = int(self.answered.sum())

    def open_pictures(self) -> Iterator[tuple[Path, list[int]]]:
        """Every picture with the rows of its phrases that have no answer yet."""
        groups: dict[Path, list[int]] = {}
        for row in np.flatnonzero(~self.answered).tolist():
            groups.setdefault(self._samples[row].picture, []).append(row)
        yield from groups.items()

    def ask(self, picture: Path, rows: Sequence[int], file: PredictionFile | None) -> None:
        """All phrases about one picture; a failure is kept, not raised."""
        try:
            answers = list(self._answers(picture, rows, keep_masks=file is not None))
        except Exception as error:  # One picture must not cost the run, whatever is wrong with it.
            if len(rows) > 1 and any(self._samples[row].reference.examples for row in rows):
                # An example that cannot be used costs the questions that show it, not all about this picture.
                for row in rows:
                    self.ask(picture, [row], file)
                return
            if isinstance(error, ReferentError):
                return self._fail(picture, rows, str(error))
            _log.warning("%s: left out: %s", picture, error, exc_info=True)
            return self._fail(picture, rows, f"{type(error).__name__}: {error}")
        for row, answer in zip(rows, answers, strict=True):
            self._keep(row, answer)
        if file is not None:
            file.write((self._samples[row], answer) for row, answer in zip(rows, answers, strict=True))

    def scores(self, index: int, replicates: int, seed: int) -> ProtocolScores:
        """All numbers of one protocol, over everything and by kind of phrase."""
        kinds = np.array([sample.tags.get("kind", "") for sample in self._samples])
        rows = self.answered & self.counted[index]
        by_kind = {
            str(kind): self._scored(index, rows & (kinds == kind), replicates, seed)
            for kind in np.unique(kinds[rows])
            if kind
        }
        protocol, overall = self._protocols[index], self._scored(index, rows, replicates, seed)
        differing = notes(protocol, self._segmenter.geometry, self._samples, self._wording)
        return ProtocolScores(protocol, overall, by_kind, (*differing, *self._notes))

    def few_shot(self) -> FewShotScores | None:
        """The numbers over seeds; None where no examples were asked."""
        scored = {
            protocol.name: lambda rows, index=index: self._scored(index, rows & self.counted[index], 0, 0).numbers
            for index, protocol in enumerate(self._protocols)
        }
        return few_shot_scores(self._samples, self.answered, self.counts[0], scored)

    def auroc(self, replicates: int, seed: int) -> metrics.Interval:
        """Of the score, present against absent phrases."""
        rows = self.answered
        return metrics.auroc(self.score[rows], self.present[rows], self.picture[rows], replicates, seed)

    def worst(self) -> tuple[Case, ...]:
        """The lowest IoUs of the first protocol, one a picture; of equal ones the larger mistake first."""
        intersection, union = self.counts[0, :, 0], self.counts[0, :, 1]
        iou = self._protocols[0].iou(intersection, union)
        cases: dict[Path, Case] = {}
        for row in np.lexsort((intersection - union, iou)).tolist():
            sample = self._samples[row]
            scored = self.answered[row] and self.counted[0, row]
            if scored and iou[row] < 1 and sample.picture not in cases:
                cases[sample.picture] = Case(sample.id, sample.picture.name, str(sample.reference), float(iou[row]))
            if len(cases) == WORST_KEPT:
                break
        return tuple(cases.values())

    def _answers(self, picture: Path, rows: Sequence[int], keep_masks: bool) -> Iterator[Answer]:
        samples = [self._samples[row] for row in rows]
        with self._model_time():
            look = self._segmenter.look_at(picture)
        height, width = samples[0].size
        step = min(PHRASES_AT_ONCE, max(1, PIXELS_AT_ONCE // max(1, height * width)))
        for start in range(0, len(samples), step):
            part = samples[start : start + step]
            with self._model_time():
                answers = look.segment([sample.reference for sample in part])
            for row, answer in zip(rows[start : start + step], answers, strict=True):
                yield self._compared(row, answer, keep_masks)

    def _compared(self, row: int, answer: Segmentation, keep_mask: bool) -> Answer:
        sample = self._samples[row]
        if answer.mask.shape != sample.size:
            raise DataError(
                f"{sample.picture}: the data set says {sample.size[1]} x {sample.size[0]}, "
                f"the picture is {answer.mask.shape[1]} x {answer.mask.shape[0]}"
            )
        comparison = Comparison(sample, answer)
        return Answer(
            present=comparison.present,
            score=float(answer.score),
            found=bool(answer.found),
            counts=tuple(
                comparison.triple(protocol) if counted else None
                for protocol, counted in zip(self._protocols, self.counted[:, row], strict=True)
            ),
            rle=encode(answer.mask) if keep_mask else None,
            counters=answer.counters,
        )

    def _scored(self, index: int, rows: NDArray[np.bool_], replicates: int, seed: int) -> Scores:
        intersection, union, predicted = self.counts[index].T
        every = metrics.Counts(intersection, union, predicted, self.present, self._judged, self._classes)
        counts = every[rows]
        return Scores(
            phrases=int(rows.sum()),
            pictures=len(np.unique(self.picture[rows])),
            absent=int((~counts.present).sum()),
            numbers=metrics.scores(self._protocols[index], counts, self.picture[rows], replicates, seed),
        )

    @cached_property
    def _judged(self) -> NDArray[np.int64]:
        """(N,) pixels that count, of the answered phrases."""
        pixels = self._pixels.copy()
        for row in self._bordered:
            if self.answered[row]:
                pixels[row] = np.count_nonzero(self._samples[row].judged())
        return pixels

    def _keep(self, row: int, answer: Answer) -> None:
        self.answered[row] = True
        self.present[row] = answer.present
        self.score[row] = answer.score
        self.counters.update(answer.counters)
        for index, triple in enumerate(answer.counts):
            if triple is not None:
                self.counts[index, row] = triple

    def _fail(self, picture: Path, rows: Sequence[int], error: str) -> None:
        before = self.failed[-1] if self.failed else None
        if before is not None and (before.picture, before.error) == (str(picture), error):
            self.failed[-1] = replace(before, phrases=before.phrases + len(rows))
        else:
            self.failed.append(Failure(str(picture), len(rows), error))

    @contextmanager
    def _model_time(self) -> Iterator[None]:
        began = perf_counter()
        yield
        self.model_seconds += perf_counter() - began


def _shown(
    pictures: Iterator[tuple[Path, list[int]]], phrases: int, progress: bool
) -> Iterator[tuple[Path, list[int]]]:
    """The same pictures, with a bar that counts phrases."""
    waiting = list(pictures)
    done = phrases - sum(len(rows) for _, rows in waiting)
    with counted("phrases", phrases, progress, done) as advance:
        for picture, rows in waiting:
            yield picture, rows
            advance(len(rows), "phrases")


def tensor_digest(segmenter: AnySegmenter) -> str:
    """SHA-256 of the names and values of all tensors of the model."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(segmenter.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
