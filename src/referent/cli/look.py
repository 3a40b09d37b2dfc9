"""`referent look`: a page of the best, the worst and some random answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from referent.data.sample import Dataset
    from referent.evaluation.look.pictures import Shown
    from referent.evaluation.result import Result


def look(
    result: Annotated[Path, typer.Argument(help="Result of `referent evaluate --save --out`.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the page. Default: beside the result.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="The data that was asked, where it is no longer where it was.", show_default=False),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of the pictures, where they are no longer where they were.")
    ] = None,
    cases: Annotated[int, typer.Option(min=3, max=2000, help="At most this many phrases.")] = 60,
    protocol: Annotated[str | None, typer.Option(help="IoUs under this protocol. Default: the result's first.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other random phrases.")] = 0,
) -> None:
    """Make a page to look at answers: best, worst and random ones with picture, truth and phrase."""
    from referent.evaluation.look.writing import write_page
    from referent.evaluation.reading import read_result, saved_at

    read = read_result(result)
    saved_at(read, str(result))
    folder = out or result.with_name(f"{result.stem}-look")
    page = write_page(
        read,
        str(result),
        _opened(read, str(result), data, pictures),
        folder,
        protocol=protocol,
        cases=cases,
        seed=seed,
        progress=_shown,
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    typer.echo(f"written: {page} ({size / 1e6:.1f} MB with its pictures); open it in a browser")


def _opened(result: Result, name: str, data: Path | None, pictures: Path | None) -> Dataset:
    from referent.errors import DataError
    from referent.evaluation.source import ALL, Source

    if data is None and result.source is None:
        raise DataError(f"{name}: does not say where its data was; give it with --data")
    source = result.source or Source(str(data))
    path = Path(source.path) if data is None else data
    if not path.exists():
        raise DataError(f"{path}: the data of {name} is not there; give it with --data")
    source = replace(source, path=str(path), pictures=source.pictures if pictures is None else str(pictures))
    # Results that do not say of which splits examples were asked are older than the choice of several.
    split = source.split or (ALL if source.few_shot and "," in result.split else result.split)
    # A picture that has gone since is shown as gone.
    return source.open(split, allow_missing=path.is_dir(), on_problem="skip")


def _shown(shown: Iterable[Shown], total: int) -> Iterable[Shown]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(shown, "drawing", total=total, console=console, transient=True, disable=not console.is_terminal)
