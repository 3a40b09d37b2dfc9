"""`referent models`: what there is to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from referent.zoo import Row

MILLION = 1_000_000


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """List the models: what they can do, size, licence, where their weights come from, and whether they are here."""
    from referent.zoo import list_models

    rows = list_models()
    if as_json:
        import json

        typer.echo(json.dumps([as_dict(row) for row in rows], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("model", "takes", "size", "file", "licence", "here"):
        table.add_column(column, overflow="fold", no_wrap=column == "model")  # a narrow terminal hides nothing
    notes = []
    for row in rows:
        facts = as_dict(row)
        parameters = f"{facts['parameters'] / MILLION:.1f} M" if facts["parameters"] else ""
        size = f"{facts['bytes'] / MILLION:.1f} MB" if facts["bytes"] else ""
        takes = ", ".join(f"{kind}s" for kind in row.takes)
        table.add_row(row.name, takes, parameters, size, row.licence, "yes" if facts["here"] else "no")
        notes.append(f"{row.name}: {'; '.join((*row.abilities, f'weights {row.origin}'))}")
    console = Console(markup=False, highlight=False)
    console.print(table)
    console.print("\n" + "\n".join(notes))


def as_dict(row: Row) -> dict[str, Any]:
    """A row of the zoo with what stands on this machine, ready for JSON."""
    path = row.path
    return {
        "name": row.name,
        "family": row.family,
        "takes": list(row.takes),
        "abilities": list(row.abilities),
        "parameters": row.parameters,
        "bytes": path.stat().st_size if path else None,
        "licence": row.licence,
        "origin": row.origin,
        "here": path is not None,
        "path": str(path) if path else None,
        "sha256": row.sha256,
        "card": row.card,
    }
