"""`referent describe`: write phrases for the annotations of a COCO file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED
from referent.cli.writable import check_writable

if TYPE_CHECKING:
    from rich.console import Console

    from referent.data.coco_records import CocoPhrase


def describe(
    coco: Annotated[Path, typer.Argument(help="COCO file with masks.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write: the same content and the phrases.", show_default=False)],
    seed: Annotated[int, typer.Option(help="Another seed draws other phrases.")] = 0,
    per_target: Annotated[int, typer.Option(min=0, help="At most this many phrases for one object.")] = 5,
    none_share: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of phrases that are true of nothing in their picture.")
    ] = 0.1,
    pictures: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the pictures; default: the file's own folder, or images/ in it.", show_default=False
        ),
    ] = None,
    regions: Annotated[
        bool | None,
        typer.Option(
            "--regions/--instances",
            help="Each mask is all there is of its class (no counting, no positions), or one object. "
            "Default: regions if no picture has two masks of one class.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write phrases, each true of its targets alone, for the annotations of a COCO file."""
    import time

    from rich.console import Console
    from rich.progress import track

    from referent.data.coco import read_coco, write_coco_with_phrases
    from referent.data.describe.run import Settings, annotates_regions, numbered
    from referent.data.describe.run import describe as describe_file
    from referent.errors import DataError

    console = Console(stderr=True)
    check_writable([out])
    content = read_coco(coco, pictures=pictures)
    if content.phrases:
        raise DataError(
            f"{coco}: has {len(content.phrases)} phrases in its top-level `phrases` already; "
            "give the file without them, so that none is lost or said twice"
        )
    settings = Settings(seed, per_target, none_share, annotates_regions(content) if regions is None else regions)
    start = time.perf_counter()
    described = list(
        track(
            describe_file(content, settings), "describing", total=len(content.images), console=console, transient=True
        )
    )
    seconds = time.perf_counter() - start
    phrases = numbered(described)
    own = {a.id: a.phrases for members in content.annotations.values() for a in members if a.phrases}
    write_coco_with_phrases(out, content, phrases, own)
    _report(console, phrases, f"{len(described) / seconds:.0f} pictures/s" if described else "no pictures")
    taken = "regions of a class" if settings.regions else "single objects"
    console.print(
        f"{out}: {len(phrases)} phrases for {len(described)} pictures (masks taken as {taken})",
        markup=False,
        soft_wrap=True,
    )
    failed = [picture.error for picture in described if picture.error]
    for error in failed:
        console.print(f"not described: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _report(console: Console, phrases: Sequence[CocoPhrase], speed: str) -> None:
    """A table of how many phrases of each kind there are, with one of each."""
    from rich.table import Table

    counts = Counter(phrase.tags["kind"] for phrase in phrases)
    samples = {phrase.tags["kind"]: phrase.phrase for phrase in reversed(phrases)}
    table = Table("kind", "phrases", "share", "for example", caption=speed)
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), f"{100 * count / len(phrases):.1f} %", samples[kind])
    console.print(table)
