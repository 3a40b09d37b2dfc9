"""The published data sets as tables for people."""

from __future__ import annotations

from collections.abc import Iterable

from referent.data.published.counts import COUNTS
from referent.data.published.sources import PICTURES, SOURCES


def counts() -> str:
    """Refs, sentences and pictures by split, as published; a markdown table without a line end after it."""
    rows = [
        [SOURCES[name].title, f"`{variant}`" if variant else "-", split]
        + [_written(number) for number in (count.refs, count.sentences, count.pictures)]
        + [count.source]
        for (name, variant), splits in COUNTS.items()
        for split, count in splits.items()
    ]
    head = ["data set", "splitting", "split", "refs", "sentences", "pictures", "who says so"]
    return _table(head, ["---", "---", "---", "--:", "--:", "--:", "---"], rows)


def sources() -> str:
    """Where each data set and its pictures come from, and under what terms; likewise."""
    rows = [
        [
            source.title,
            f"`{source.name}/` " + ", ".join(f"`{file}`" for file in source.files),
            source.url,
            source.licence,
            PICTURES[source.pictures].title,
        ]
        for source in SOURCES.values()
    ]
    rows += [[pictures.title, "pictures", pictures.url, pictures.licence, "-"] for pictures in PICTURES.values()]
    return _table(["data set", "files", "get it from", "terms", "pictures"], ["---"] * 5, rows)


def _written(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _table(head: list[str], rule: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *rows])
