"""`referent compare` of results on videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from referent.evaluation.videos.differences import VideoDifferences

SHOWN = 12
"""Videos in the printed table: those that differ most."""


def compare_videos(results: Sequence[Path], protocols: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Compares results, writes and prints.

    Raises:
        DataError: see `video_differences`.
    """
    from rich.console import Console

    from referent.evaluation.videos.differences import video_differences
    from referent.files import atomic_write

    found = video_differences(results, protocols)
    if out is not None:
        atomic_write(out, json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n")
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    console = Console()
    _show(console, found)
    if out is not None:
        console.print(f"written: {out}", highlight=False, markup=False, soft_wrap=True)


def _show(console: Console, found: VideoDifferences) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from referent.cli.difference_tables import FOOTNOTE, cells, columns

    title = f"{found.dataset} ({found.split or 'all'}): {found.videos} videos that all of them answered"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    if found.settings:
        table = Table("differs in", *map(escape, found.names), box=SIMPLE_HEAD)
        for name, values in found.settings.items():
            table.add_row(name, *map(escape, values))
        console.print(table)
    for one in found.protocols.values():
        table = Table(f"% ({one.protocol.name} v{one.protocol.version})", *columns(found.names), box=SIMPLE_HEAD)
        for number, paired in one.numbers.items():
            if any(value.value is not None for value in paired.values):
                table.add_row(number, *cells(paired))
        console.print(table)
        table = Table("J&F of videos that differ most", *map(escape, found.names), box=SIMPLE_HEAD)
        for name in sorted(one.sequences, key=lambda name: -_span(one.sequences[name]))[:SHOWN]:
            table.add_row(name, *("-" if value is None else f"{100 * value:.1f}" for value in one.sequences[name]))
        console.print(table)
    console.print(FOOTNOTE, soft_wrap=True, highlight=False)


def _span(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return max(known) - min(known) if known else 0.0
