"""`referent ablate`: a table of trainings that differ in a few settings."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from referent.cli.exit_codes import INTERRUPTED
from referent.cli.train import scores


def ablate(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships with the package.")],
    table: Annotated[Path, typer.Argument(help="YAML file: rows, each with a name and settings.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings laid over the recipe in all rows.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the table; every row has one inside it.")] = Path(
        "ablation"
    ),
    numbers: Annotated[str, typer.Option(help="Numbers of the validation to show, with commas.")] = "mIoU,oIoU",
) -> None:
    """Train a recipe once a row of TABLE and seed, score every row, and print the table.

    All rows are checked before the first is trained. Rows that are done are not trained again: the same command goes
    on where it stopped, also inside a row. The table is written to OUT/table.md and, as a result file, OUT/table.json.
    """
    from referent.files import atomic_write
    from referent.training.ablation import load_table, markdown, recipes, run_row, summary

    read = load_table(table)
    shown = [name.strip() for name in numbers.split(",") if name.strip()]
    lines = []
    for row, settings in zip(read.trainings, recipes(recipe, read, overrides or [], out), strict=True):
        line = run_row(row, settings, scores)
        if line is None:
            seed = "" if row.seed is None else f", seed {row.seed}"
            typer.echo(f"stopped in row {row.name!r}{seed}; the same command goes on", err=True)
            raise typer.Exit(INTERRUPTED)
        lines.append(line)
        atomic_write(out / "table.md", markdown(lines, shown) + "\n")
        content = {"command": shlex.join(["referent", *sys.argv[1:]]), "rows": summary(lines, shown)}
        atomic_write(out / "table.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    typer.echo(markdown(lines, shown))
