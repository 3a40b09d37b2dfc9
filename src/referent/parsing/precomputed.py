"""Parses as JSON lines, so that a machine with the pipeline can make them once for machines without.

    {"text": "guy on the left", "words": ["guy", "on", "the", "left"], "pos": ["NOUN", "ADP", "DET", "NOUN"],
     "heads": [0, 0, 3, 1], "deps": ["ROOT", "prep", "det", "pobj"], "tags": ["NN", "IN", "DT", "NN"]}

`heads` count from 0, a root is its own head; `tags` may be missing. Other fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from referent.errors import DataError
from referent.files import atomic_write
from referent.parsing.types import Parse, Token


class PrecomputedParses:
    """A parser that knows the texts of a file, and no others.

    Args:
        path: JSON lines as above; of two parses of one text the first counts.

    Raises:
        DataError: missing, unreadable, or a line that is no parse; the message names file and line.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._parses: dict[str, Parse] = {}
        for parse in read_parses(self.path):
            self._parses.setdefault(parse.text, parse)

    @property
    def name(self) -> str:
        """The file's name."""
        return f"parses of {self.path.name}"

    def parse(self, texts: Sequence[str]) -> list[Parse]:
        """See `Parser.parse`.

        Raises:
            DataError: a text that the file does not hold.
        """
        missing = [text for text in texts if text not in self._parses]
        if missing:
            raise DataError(
                f"{self.path}: no parse of {missing[0]!r} ({len(missing)} of {len(texts)} texts are missing); make "
                "parses of these texts, or use a parser"
            )
        return [self._parses[text] for text in texts]


def read_parses(path: Path) -> list[Parse]:
    """All parses of a file, in its order.

    Raises:
        DataError: missing, unreadable, or a line that is no parse; the message names file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected JSON lines in UTF-8, found other bytes") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    parses = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                parses.append(parse_from_json(json.loads(line)))
            except json.JSONDecodeError as error:
                raise DataError(f"{path}: line {number}, column {error.colno}: broken JSON ({error.msg})") from None
            except (DataError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: {error}") from None
    return parses


def write_parses(path: Path, parses: Iterable[Parse]) -> None:
    """Parses as JSON lines at `path`, all of them or nothing."""
    atomic_write(path, "".join(json.dumps(parse_to_json(parse)) + "\n" for parse in parses))


def parse_to_json(parse: Parse) -> dict[str, Any]:
    """A parse, ready for `json.dumps`."""
    return {
        "text": parse.text,
        "words": [token.text for token in parse.tokens],
        "tags": [token.tag for token in parse.tokens],
        "pos": [token.pos for token in parse.tokens],
        "heads": [token.head for token in parse.tokens],
        "deps": [token.dep for token in parse.tokens],
    }


def parse_from_json(record: Any) -> Parse:
    """The parse of one line.

    Raises:
        DataError: fields missing, of other types or lengths, words that are not in the text, heads that are no tree.
    """
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DataError(f"expected an object with `text`, found {record!r:.80}")
    words = _texts(record, "words", None)
    if not words:
        raise DataError("`words`: expected at least one, found none")
    pos, deps = _texts(record, "pos", len(words)), _texts(record, "deps", len(words))
    tags = _texts(record, "tags", len(words)) if "tags" in record else [""] * len(words)
    heads = _heads(record.get("heads"), len(words))
    starts = _starts(record["text"], words)
    columns = zip(words, pos, deps, heads, starts, tags, strict=True)
    return Parse(record["text"], tuple(Token(*column) for column in columns))


def _texts(record: dict[str, Any], field: str, count: int | None) -> list[str]:
    values = record.get(field)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise DataError(f"`{field}`: expected a list of texts, found {values!r:.80}")
    if count is not None and len(values) != count:
        raise DataError(f"`{field}`: expected {count}, one a word, found {len(values)}")
    return values


def _heads(values: Any, count: int) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int and 0 <= value < count for value in values):
        raise DataError(f"`heads`: expected a list of word numbers from 0 to {count - 1}, found {values!r:.80}")
    if len(values) != count:
        raise DataError(f"`heads`: expected {count}, one a word, found {len(values)}")
    # Whoever is not reached from the roots hangs on a circle.
    below: list[list[int]] = [[] for _ in values]
    for index, head in enumerate(values):
        below[head].append(index)
    reached = [index for index, head in enumerate(values) if head == index]
    for index in reached:
        reached.extend(child for child in below[index] if child != index)
    if len(reached) != count:
        loose = min(set(range(count)) - set(reached))
        raise DataError(f"`heads`: expected trees whose roots are their own heads; word {loose} hangs on a circle")
    return values


def _starts(text: str, words: Sequence[str]) -> list[int]:
    starts, place = [], 0
    for word in words:
        start = text.find(word, place)
        if start < 0 or not word or text[place:start].strip():
            raise DataError(f"`words`: {word!r} does not come next in `text` ({text!r:.80})")
        starts.append(start)
        place = start + len(word)
    return starts
