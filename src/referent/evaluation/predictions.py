"""Predictions on disk: JSON lines that later verbs read, and that an interrupted run continues.

The first line is a `Header`. Each further line is one phrase: `id`, `picture`, `phrase`, `tags`, `present`, `score`,
`found`, `rle` (COCO RLE of the mask at the model's own threshold, whatever `found` says) and `counts`: for each
protocol in whose numbers the phrase enters [intersection, union, pixels of the answer]; `counters`, where the model has
some. Lines are written picture by picture.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from referent.data.sample import Sample
from referent.errors import DataError
from referent.evaluation.comparison import Triple
from referent.rle import RLE

FORMAT = 1


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


class PredictionFile:
    """A file being written.

    Args:
        path: made when missing; an existing one is continued, a last line that was cut off is dropped.
        header: of this run.

    Raises:
        DataError: the file was made by another run (the first difference is named), or cannot be read or written.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._header = header
        try:
            # Unbuffered: what a full disk refused must not be tried again, and fail again, on closing.
            self._stream = path.open("ab", buffering=0)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if self._holds_header():
                _check_same(path, read_header(path), header)
                self._drop_cut_line()
            else:
                self._stream.truncate(0)
                self._write([asdict(header)])
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

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
            counts = tuple(triples.get(protocol) for protocol in self._header.protocols)
            counters = line.get("counters", {})
            yield sample.id, Answer(line["present"], line["score"], line["found"], counts, counters=counters)

    def write(self, answered: Iterable[tuple[Sample, Answer]]) -> None:
        """Append the answers about one picture.

        Raises:
            DataError: the file cannot be written.
        """
        self._write(
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
                    for protocol, triple in zip(self._header.protocols, answer.counts, strict=True)
                    if triple is not None
                },
                **({"counters": dict(answer.counters)} if answer.counters else {}),
            }
            for sample, answer in answered
        )

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        content = b"".join(map(_line, lines))
        try:
            while content:
                content = content[self._stream.write(content) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _holds_header(self) -> bool:
        """Whether there is a first line to check; a part of this run's own first line does not count as one."""
        with self.path.open("rb") as stream:
            first = stream.readline()
        return first.endswith(b"\n") or not _line(asdict(self._header)).startswith(first)

    def _drop_cut_line(self) -> None:
        """Cut the file after its last line end: what follows was being written when a run was stopped."""
        with self.path.open("rb+") as stream:
            end = stream.seek(0, 2)
            while end:
                start = max(0, end - 65536)
                stream.seek(start)
                last = stream.read(end - start).rfind(b"\n")
                end = start + last + 1
                if last >= 0:
                    break
                end = start
            stream.truncate(end)


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


def _line(content: Mapping[str, Any]) -> bytes:
    # A file name that is no UTF-8 becomes JSON's own escapes.
    return json.dumps(content, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


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
    try:
        with path.open(encoding="utf-8") as stream:
            first = json.loads(stream.readline())
        if first["referent_predictions"] != FORMAT:
            raise DataError(f"{path}: expected format {FORMAT}, found {first['referent_predictions']!r}")
        return Header(**first)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected predictions written by `referent evaluate --save`") from error


def _check_same(path: Path, found: Header, expected: Header) -> None:
    for item in fields(Header):
        old, new = getattr(found, item.name), getattr(expected, item.name)
        if old != new:
            raise DataError(
                f"{path}: holds predictions of another run ({item.name} {old!r}, here {new!r}); "
                "remove it or write to another file"
            )


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be written: {error.strerror or error}")
