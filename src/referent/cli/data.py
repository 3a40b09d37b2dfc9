"""`referent data`: looks after data sets on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from referent.data.published.check import Finding
    from referent.data.published.sources import Source

SHOWN = 5

data = typer.Typer(no_args_is_help=True, help="Look after data sets on disk.")


@data.command()
def check(
    root: Annotated[Path, typer.Argument(help="Folder of published data sets (ROOT/refcoco, ...), or one of them.")],
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of the pictures; otherwise the places that docs/data.md names.")
    ] = None,
) -> None:
    """Say which published data sets are in ROOT, count them beside the published counts, and say what to get where.

    Exit code 0 when all that is there is whole, 1 when something of it is missing, damaged or other than published.
    """
    from rich.console import Console

    from referent.cli.check_videos import say_where_videos, show_videos
    from referent.data.published.check import absent, check
    from referent.data.videos.check import check_videos
    from referent.data.videos.opening import find_videos

    console = Console(soft_wrap=True, highlight=False, markup=False)
    whole, count, of_videos = True, 0, set()
    for finding in check(root, pictures):
        _show(console, finding)
        whole, count = whole and finding.whole, count + 1
    for one in check_videos(root):
        show_videos(console, one)
        whole, count = whole and one.whole, count + 1
        of_videos.add(one.source.title)
    others = [] if find_videos(root) else absent(root)
    if others:
        console.print(f"not in {root}:")
    for source in others:
        _say_where(console, source)
    if others:
        say_where_videos(console, of_videos)
    if not count:
        console.print(f"nothing of {root} is a published data set: each is a folder with the files named above")
    if not (whole and count):
        raise typer.Exit(SOME_FAILED)


@data.command()
def score(
    answers: Annotated[
        Path, typer.Argument(help="Folder with <video>/<frame>.png, or <video>/<expression>/<frame>.png.")
    ],
    videos: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of a published data set of videos.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
    protocol: Annotated[
        str | None,
        typer.Option(help="davis, davis-unsupervised, ...; several with commas. Default: the data set's own."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result here (JSON).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score pictures of answers about videos, whatever has written them.

    Exit code 1 when the answers about some videos are missing or cannot be read (they are left out of the numbers).
    """
    import shlex
    import sys

    from referent.cli.evaluate_videos import report, usual_protocol
    from referent.cli.writable import check_writable
    from referent.data.videos.opening import open_videos
    from referent.evaluation.videos.run import score_folder

    check_writable([out])
    found = open_videos(videos, split)
    names = [name.strip() for name in (protocol or usual_protocol(found)).split(",") if name.strip()]
    command = shlex.join(["referent", *sys.argv[1:]])
    result = score_folder(answers, found, names, command=command, data=str(videos), progress=not as_json)
    if out is not None:
        result.save(out)
    report(result, [out] if out else [], as_json)


@data.command("from-cris")
def from_cris(
    annotations: Annotated[list[Path], typer.Argument(help="Files anns/<data set>/<split>.json; each is a split.")],
    masks: Annotated[Path, typer.Option(help="Folder masks/<data set>, with a PNG for each of their refs.")],
    pictures: Annotated[Path, typer.Option(help="Folder of COCO's train2014.")],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write.")],
) -> None:
    """Turn what CRIS's or ETRIS's data preparation wrote into JSON lines.

    Their LMDB files cannot be read any more. Whoever has the published files, refs(unc).p and instances.json, needs no
    conversion.
    """
    from referent.cli.writable import check_writable
    from referent.data.published.cris_folders import write_lines

    check_writable([out])
    count = write_lines(annotations, masks, pictures, out)
    typer.echo(f"{out}: {count} phrases")


@data.command("to-reclip")
def to_reclip(
    folder: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder of RefCOCO, RefCOCO+, RefCOCOg or RefGTA, or its refs file.")
    ],
    out: Annotated[Path, typer.Option(help="The .jsonl file to write.")],
    split: Annotated[str, typer.Option(help="Which part of the data.")] = "val",
) -> None:
    """Write the expressions of a published data set as ReCLIP's official code reads them; its own files are gone."""
    from referent.cli.writable import check_writable
    from referent.data.published.reclip_lines import write_reclip_lines

    check_writable([out])
    written = write_reclip_lines(folder, split, out)
    nothing = f"; left out: {written.nothing}, true of nothing" if written.nothing else ""
    typer.echo(f"{out}: objects: {written.objects}, expressions: {written.expressions}{nothing}")


def _show(console: Console, finding: Finding) -> None:
    title = f" ({finding.source.title})" if finding.source else ""
    console.print(f"{finding.path}{title}")
    if finding.error:
        console.print(f"  cannot be used: {finding.error}")
        if finding.source:
            _say_where(console, finding.source)
        return
    console.print(_table(finding))
    if finding.missing:
        there = "\n".join(f"    {place}" for place in finding.places)
        console.print(f"  {len(finding.missing)} of {finding.pictures} pictures are missing, looked for in\n{there}")
        _few(console, [path.name for path in finding.missing])
        if finding.source:
            _say_where_pictures(console, finding.source)
    else:
        console.print(f"  all {finding.pictures} pictures are there")
    if finding.other:
        console.print(f"  {len(finding.other)} pictures are not as the annotations say:")
        _few(console, finding.other)


def _table(finding: Finding) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table("split", "refs", "sentences", "pictures", "", box=SIMPLE_HEAD)
    for split in finding.splits:
        verdict = {None: "no published counts", True: "as published", False: "other than published"}[split.as_published]
        cells = []
        for key in ("refs", "sentences", "pictures"):
            found, published = getattr(split.found, key), getattr(split.published, key, None)
            here = "-" if found is None else f"{found:,}"
            cells.append(here if published in (None, found) else f"{here} of {published:,}")
        table.add_row(split.name, *cells, verdict)
    return table


def _few(console: Console, lines: list[str] | tuple[str, ...]) -> None:
    for line in lines[:SHOWN]:
        console.print(f"    {line}")
    if len(lines) > SHOWN:
        console.print(f"    ... and {len(lines) - SHOWN} more")


def _say_where(console: Console, source: Source) -> None:
    gone = f" (its first place, {source.original}, is gone)" if source.original else ""
    console.print(f"  {source.name}: {', '.join(source.files)}: get {source.url}{_sha256(source.sha256)}{gone}")


def _say_where_pictures(console: Console, source: Source) -> None:
    from referent.data.published.sources import PICTURES

    pictures = PICTURES[source.pictures]
    console.print(
        f"    get {pictures.title}: {pictures.url}" + (f", sha256 {pictures.sha256}" if pictures.sha256 else "")
    )


def _sha256(known: str | None) -> str:
    return f", sha256 {known}" if known else ""
