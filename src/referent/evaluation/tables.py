"""Markdown tables made from result files, between markers that say from which and how.

    <!-- table: files="results/*.json" protocol=referent columns="Data=dataset, mIoU, mIoU:name, Command=command" -->
    ... replaced ...
    <!-- end table -->

`files`: globs from the root of the repository, separated by commas; one row a file, in order of name.
`protocol`: one or more of a result's protocols (a row each); the result's first when left out.
`columns`: `PATH` or `Title=PATH`. A path is a number of the protocol ("mIoU", "Pr@0.5"; "mIoU:position" for one kind of
phrase), printed in percent with its interval; "seeds:class-mIoU", its mean over the seeds of few-shot episodes with the
deviation; "classes", how many such episodes ask for; "AUROC"; "protocol", name and version; "notes" of the protocol; or
keys into the JSON file joined by dots ("machine.processor"; where they lead to a number with its interval, both are
printed in percent). With keys alone, any JSON file will do. Results under two versions of one protocol do not stand in
one table.
`rows`: a key under which each file holds a list: one row for each of its entries, to which the columns then refer.
`across`: a path whose values become columns of their own ("model"): these hold the last of `columns`, and rows that
agree in all others are one.

    <!-- table: protocols -->

is the table of the rules of all protocols; `published counts` and `published sources` are those of the data sets;
`video protocols`, `video counts` and `video sources` those of videos.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from referent.data.published import tables as published
from referent.data.videos.sources import video_counts, video_sources
from referent.errors import DataError, ReferentError
from referent.evaluation.protocol_table import rules
from referent.evaluation.protocols import PROTOCOLS
from referent.evaluation.videos.protocol_table import video_rules
from referent.evaluation.videos.protocols import VIDEO_PROTOCOLS
from referent.files import atomic_write

MARKER = re.compile(r"^<!-- table: (?P<options>.*?) -->\n(?P<body>.*?)^<!-- end table -->$", re.MULTILINE | re.DOTALL)
CODE = ("command",)
NAMED: Mapping[str, Callable[[], str]] = {
    "protocols": lambda: rules(PROTOCOLS.values()),
    "published counts": published.counts,
    "published sources": published.sources,
    "video protocols": lambda: video_rules(VIDEO_PROTOCOLS.values()),
    "video counts": video_counts,
    "video sources": video_sources,
}


def fill(text: str, root: Path) -> str:
    """Markdown with every marked table made anew.

    Args:
        text: of a page.
        root: where the globs of `files` start.

    Raises:
        DataError: a marker with a wrong option, no file, or a column that a file does not have.
    """
    started = len(re.findall(r"^<!-- table:", text, re.MULTILINE))
    if started != len(MARKER.findall(text)):
        raise DataError("a table marker without its <!-- end table -->, or not on a line of its own")

    def made(match: re.Match[str]) -> str:
        table = _table(match["options"], root)
        return f"<!-- table: {match['options']} -->\n{table}\n<!-- end table -->"

    return MARKER.sub(made, text)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: fills pages, or with `--check` only says which ones differ. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Fill the tables of markdown pages from result files.")
    parser.add_argument("pages", nargs="+", type=Path, help="markdown files with table markers")
    parser.add_argument("--root", type=Path, default=Path(), help="where the markers' file names start")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page differs")
    options = parser.parse_args(arguments)
    differing = 0
    for page in options.pages:
        try:
            before = page.read_text(encoding="utf-8")
            after = fill(before, options.root)
        except (OSError, ReferentError) as error:
            print(f"{page}: {error}", file=sys.stderr)
            return 2
        if before == after:
            continue
        differing += 1
        if options.check:
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), str(page), "from results", lineterm=""
            )
            print("\n".join(lines))
        else:
            atomic_write(page, after)
            print(f"written: {page}")
    return 1 if options.check and differing else 0


def _table(options: str, root: Path) -> str:
    if options.strip() in NAMED:
        return NAMED[options.strip()]()
    given = _options(options)
    columns = [_column(text) for text in given["columns"].split(",")]
    protocols = [name.strip() for name in given["protocol"].split(",")] if "protocol" in given else [None]
    files = list(_files(given["files"], root))
    if "rows" in given:
        files = [(file, entry) for file, content in files for entry in _entries(content, given["rows"], file)]
    _check_versions(files, protocols)
    rows = [
        [_cell(content, path, protocol, file) for _, path in columns]
        for file, content in files
        for protocol in protocols
    ]
    titles = [title for title, _ in columns]
    if "across" in given:
        spread = [_cell(content, given["across"], protocol, file) for file, content in files for protocol in protocols]
        titles, rows = _across(titles, rows, spread)
    numeric = [all(re.match(r"[-\d]", row[index]) for row in rows) for index in range(len(titles))]
    lines = [titles, ["--:" if right else "---" for right in numeric], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _across(titles: list[str], rows: list[list[str]], spread: list[str]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows with the last column parted by the values in `spread`, which has one a row."""
    cells: dict[tuple[str, ...], dict[str, str]] = {}
    for row, value in zip(rows, spread, strict=True):
        of_row = cells.setdefault(tuple(row[:-1]), {})
        if value in of_row:
            raise DataError(f"table marker: two files for {value} in the row {', '.join(row[:-1])}")
        of_row[value] = row[-1]
    values = list(dict.fromkeys(spread))
    return [*titles[:-1], *values], [
        [*key, *(found.get(value, "-") for value in values)] for key, found in cells.items()
    ]


def _options(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in shlex.split(text)]
    given = {name: value for name, _, value in pairs}
    unknown = given.keys() - {"files", "protocol", "columns", "rows", "across"}
    if unknown or not {"files", "columns"} <= given.keys():
        raise DataError(
            f"table marker: expected files=, columns= and perhaps protocol=, rows= and across=, found {text!r}"
        )
    return given


def _column(text: str) -> tuple[str, str]:
    """("Title", path); a number's own name is its title, with the kind in brackets."""
    title, given, path = text.strip().partition("=")
    if given:
        return title.strip(), path.strip()
    number, _, kind = title.partition(":")
    return (f"{number} ({kind})" if kind else number), title


def _files(globs: str, root: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for pattern in globs.split(","):
        found = sorted(root.glob(pattern.strip()))
        if not found:
            raise DataError(f"table marker: no file {pattern.strip()}")
        for path in found:
            try:
                yield path, json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise DataError(f"{path}: expected JSON: {error}") from error


def _entries(content: Mapping[str, Any], key: str, file: Path) -> list[Mapping[str, Any]]:
    entries = content.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise DataError(f"{file}: no list of rows {key!r}")
    return entries


def _check_versions(files: Sequence[tuple[Path, Mapping[str, Any]]], protocols: Sequence[str | None]) -> None:
    found: dict[str, dict[int, Path]] = {}
    for file, content in files:
        scores = content.get("scores", {})
        for name in protocols:
            one = scores.get(name or next(iter(scores), ""))
            if one is not None:
                found.setdefault(one["protocol"]["name"], {}).setdefault(one["protocol"]["version"], file)
    for name, versions in found.items():
        if len(versions) > 1:
            where = ", ".join(f"v{version} in {file}" for version, file in versions.items())
            raise DataError(f"protocol {name}: {where}: its versions do not compare; evaluate again")


def _cell(content: Mapping[str, Any], path: str, protocol: str | None, file: Path) -> str:
    scores = content.get("scores", {})
    chosen = scores.get(protocol or next(iter(scores), ""))
    if protocol is not None and chosen is None:
        raise DataError(f"{file}: no protocol {protocol}; it has: {', '.join(scores) or 'none'}")
    if chosen is not None:
        if path == "protocol":
            return f"{chosen['protocol']['name']} v{chosen['protocol']['version']}"
        if path == "notes":
            return "; ".join(chosen["notes"]) or "-"
        if path == "classes" and content.get("few_shot"):
            return str(len(content["few_shot"]["classes"]))
        over_seeds, _, number = path.rpartition(":")
        if over_seeds == "seeds" and content.get("few_shot"):
            return _spread(content["few_shot"]["spreads"][chosen["protocol"]["name"]].get(number), path, file)
        number, _, kind = path.partition(":")
        part = chosen["kinds"].get(kind) if kind else chosen["overall"]
        if part is not None and number in part["numbers"]:
            return _percent(part["numbers"][number])
        if path == "AUROC":
            return _percent(content["auroc"])
    value: Any = content
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise DataError(f"{file}: no column {path!r}")
        value = value[key]
    return _percent(value) if _is_interval(value) else _plain(path, value)


def _is_interval(value: Any) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"value", "low", "high"}


def _percent(number: Mapping[str, float | None]) -> str:
    value, low, high = number["value"], number["low"], number["high"]
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]")


def _spread(spread: Mapping[str, Any] | None, path: str, file: Path) -> str:
    if spread is None:
        raise DataError(f"{file}: no column {path!r}")
    mean, deviation = spread["mean"], spread["deviation"]
    if mean is None:
        return "-"
    return f"{100 * mean:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def _plain(path: str, value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = (str(value) if not isinstance(value, (dict, list)) else json.dumps(value)).replace("|", "\\|")
    return f"`{text}`" if path in CODE else text


if __name__ == "__main__":
    sys.exit(main())
