"""`referent compare`: paired differences between results."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.writable import check_writable

if TYPE_CHECKING:
    from referent.evaluation.differences import Differences


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="Results of `referent evaluate --save --out`, two or more of each data set and split; the first of "
            "each is what the others are compared with.",
            show_default=False,
        ),
    ],
    protocol: Annotated[
        list[str] | None, typer.Option(help="Only these protocols; several with commas. Default: all in common.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="The number shown for each group of phrases. Default: mIoU, or the protocol's.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write everything here (JSON).")] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Draw the differences by group of phrases here (PNG, SVG or PDF).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare results phrase by phrase: differences with 95 % intervals, overall and by kind of phrase.

    Results on videos are compared video by video.
    """
    from rich.console import Console

    from referent.cli.compare_videos import compare_videos
    from referent.cli.difference_tables import show
    from referent.errors import DataError
    from referent.evaluation.difference_plot import draw_differences
    from referent.evaluation.differences import differences
    from referent.evaluation.pairing import open_saved
    from referent.evaluation.plots import check_drawable
    from referent.evaluation.videos.differences import is_of_videos
    from referent.files import atomic_write

    check_writable((out, draw))
    if draw is not None:
        check_drawable(draw)
    names = [name.strip() for value in protocol or [] for name in value.split(",") if name.strip()]
    if any(map(is_of_videos, results)):
        if number or draw:
            raise DataError("results on videos: leave out --number and --draw")
        return compare_videos(results, names, out, as_json)
    found = differences(open_saved(results), names, command=shlex.join(["referent", *sys.argv[1:]]))
    _check_number(found, number)
    if out is not None:
        atomic_write(out, json.dumps(found.to_json(), indent=1, ensure_ascii=False) + "\n")
    if draw is not None:
        draw_differences(found, draw, number)
    if as_json:
        typer.echo(json.dumps(found.to_json(), ensure_ascii=False))
        return
    console = Console()
    show(console, found, number)
    for path in (out, draw):
        if path is not None:
            console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def _check_number(found: Differences, number: str | None) -> None:
    from referent.errors import DataError

    protocols = [one for part in found.parts for one in part.protocols.values()]
    known = list(dict.fromkeys(name for one in protocols for name in one.protocol.numbers))
    if number is not None and number not in known:
        raise DataError(f"number: expected one of {', '.join(known)}, found {number!r}")
