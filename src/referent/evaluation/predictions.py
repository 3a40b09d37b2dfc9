"""Predictions on disk: JSON lines that later verbs read, and that an interrupted run continues.

The first line is a `Header`. Each further line is one phrase: `id`, `picture`, `phrase`, `tags`, `present`, `score`,
`found`, `rle` (COCO RLE of the mask at the model's own threshold, whatever `found` says) and `counts`: for each
protocol in whose numbers the phrase enters [intersection, union, pixels of the answer]; `counters`, where the model has
some. Lines are written picture by picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from referent.data.sample import Sample
from referent.errors import DataError
from referent.evaluation import headed_lines
from referent.evaluation.comparison import Triple
from referent.evaluation.headed_lines import HeadedLines
from referent.rle import RLE

FORMAT = 1
KIND = "predictions"


@dataclass(frozen=True)
class Header:
    """What every line of one file has in common; a run continues a file only when all of it is the same.

    Attributes:
        model: name of the model.
        weights_sha256: of its weights.
        precision: it ran in: "float32", "bfloat16".
        dataset, split: what was asked.
        protocols: "name/version" of each, in the order of the run.
        threshold: the model's own.
        referent_predictions: version of this layout.
    """

    model: str
    weights_sha256: str | None
    precision: str
    dataset: str
    split: str
    protocols: list[str]
    threshold: float
    referent_predictions: int = FORMAT


@dataclass(frozen=True)
class Answer:
    """One phrase answered and compared.

    Attributes:
        present: the phrase is true of something in the picture.
        score: in [0, 1], see `Segmentation.score`.
        found: see `Segmentation.found`.
        counts: for each protocol (intersection, union, pixels of the answer); None where its numbers leave the phrase
            out.
        rle: the mask at the model's own threshold; None where predictions are not kept.
        counters: see `Segmentation.counters`.
    """

    present: bool
    score: float
    found: bool
    counts: tuple[Triple | None, ...]
    rle: RLE | None = None
    counters: Mapping[str, int] = field(default_factory=dict)


class PredictionFile(HeadedLines[Header]):
    """A file being written; `HeadedLines` says what becomes of an existing one, and which errors there are."""

    def __init__(self, path: Path, header: Header) -> None:
        super().__init__(path, header, KIND)

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def earlier(self, samples: Mapping[str, Sample]) -> Iterator[tuple[str, Answer]]:
        """(id, answer) of every line that is about one of `samples`.

        Raises:
            DataError: a line is broken, or its phrase is not that of the sample with its id.
        """
        for line in read(self.path):
            sample = samples.get(line["id"])
            if sample is None:
                continue
            if line["phrase"] != str(sample.reference):
                raise DataError(
                    f"{self.path}: sample {sample.id}: the data set has {str(sample.reference)!r}, the file "
                    f"{line['phrase']!r}; the data set has changed since, so write to a new file"
                )
            triples = _triples(line["counts"])
            counts = tuple(triples.get(protocol) for protocol in self.header.protocols)
            counters = line.get("counters", {})
            yield sample.id, Answer(line["present"], line["score"], line["found"], counts, counters=counters)

    def write(self, answered: Iterable[tuple[Sample, Answer]]) -> None:
        """Append the answers about one picture.

        Raises:
            DataError: the file cannot be written.
        """
        self.append(
            {
                "id": sample.id,
                "picture": str(sample.picture),
                "phrase": str(sample.reference),
                "tags": dict(sample.tags),
                "present": answer.present,
                "score": answer.score,
                "found": answer.found,
                "rle": answer.rle,
                "counts": {
                    protocol: triple
                    for protocol, triple in zip(self.header.protocols, answer.counts, strict=True)
                    if triple is not None
                },
                **({"counters": dict(answer.counters)} if answer.counters else {}),
            }
            for sample, answer in answered
        )


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The phrases of a prediction file, one dictionary a line, in order; the header is checked and left out.

    Raises:
        DataError: missing, not a prediction file, or a broken line (its number is named).
    """
    read_header(path)
    with path.open(encoding="utf-8", errors="replace") as stream:
        next(stream)
        for number, line in enumerate(stream, 2):
            try:
                content: dict[str, Any] = json.loads(line)
                content["id"], content["phrase"], content["present"], content["score"], content["found"]
                _triples(content["counts"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}: line {number}: expected a prediction, found {line[:60]!r}") from error
            yield content


def _triples(counts: Mapping[str, Iterable[float]]) -> dict[str, Triple]:
    triples = {}
    for protocol, values in counts.items():
        intersection, union, predicted = values
        triples[protocol] = float(intersection), float(union), float(predicted)
    return triples


def read_header(path: Path) -> Header:
    """The first line of a prediction file.

    Raises:
        DataError: missing, not a prediction file, or of another version.
    """
    return headed_lines.read_header(path, Header, KIND)
