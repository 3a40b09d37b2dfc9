"""`referent spatial`: whether CLIPs tell "left of" from "right of"."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.writable import check_writable

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from referent.evaluation.spatial import Matcher, Share, SpatialResult

# `len(pairs.TYPES)`, which would have to be imported for every verb.
TYPES = 276


def spatial(
    clips: Annotated[
        list[str],
        typer.Argument(
            help="CLIPs to compare: weight files, folders or hub ids; a grounding system (reclip, ... or a .yaml "
            "file) stands for all its CLIPs together.",
            show_default=False,
        ),
    ],
    n: Annotated[int, typer.Option("--n", min=1, max=TYPES, help="Types of scenes; every type is asked once.")] = TYPES,
    seed: Annotated[int, typer.Option(help="Another seed makes other scenes.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write the result here (JSON).")] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw it here (PNG, SVG or PDF).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; CUDA when there is one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ask CLIPs which text fits a picture of two things, and which picture a text: by relation and by things."""
    import json

    from rich.console import Console
    from rich.progress import track

    from referent.data.scenes.pairs import SIZE, pair_examples
    from referent.engine import device_of, dtype_of
    from referent.evaluation import environment
    from referent.evaluation.plots import check_drawable
    from referent.evaluation.spatial import SpatialResult, spatial_shares
    from referent.evaluation.spatial_plot import draw_spatial

    check_writable((out, draw))
    if draw is not None:
        check_drawable(draw)
    place = device_of(device)
    models = {name: _matcher(name, place) for name in dict.fromkeys(clips)}
    bar, errors = sys.stderr.isatty(), Console(stderr=True)
    examples = track(pair_examples(n, seed), "scenes", n, console=errors, transient=True, disable=not bar)
    result = SpatialResult(
        models=spatial_shares(models, examples),
        examples=n,
        seed=seed,
        size=SIZE,
        machine=environment.machine(place, dtype_of(None)),
        versions=environment.versions(),
        command=shlex.join(["referent", *sys.argv[1:]]),
    )
    if out is not None:
        result.save(out)
    if draw is not None:
        draw_spatial(result, draw)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
        return
    console = Console()
    console.print(_table(result))
    for path in (out, draw):
        if path is not None:
            console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)


def _matcher(name: str, place: torch.device) -> Matcher:
    from referent import zoo
    from referent.encoders.clip_pocket import open_clip
    from referent.evaluation.spatial import whole_picture
    from referent.grounding.config import read_config
    from referent.grounding.features import ProposalEncoder

    sources = read_config(zoo.find(name)).clips if zoo.is_system(name) else (name,)
    pairs = [open_clip(source).to(place) for source in sources]
    return whole_picture(ProposalEncoder(pairs, ("crop",), device=place))


def _table(result: SpatialResult) -> Table:
    """A row a task, and below it one a relation; a column a model."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    from referent.data.scenes.pairs import TASKS

    table = Table(escape("% right [95 %]"), "questions", *map(escape, result.models), box=SIMPLE_HEAD)
    for task in TASKS:
        shares = [tasks[task] for tasks in result.models.values()]
        table.add_row(task, str(shares[0].overall.questions), *(escape(_written(one.overall)) for one in shares))
        for relation, own in shares[0].relations.items():
            cells = [escape(_written(one.relations[relation])) for one in shares]
            table.add_row(f"  {relation}", str(own.questions), *cells, style="dim")
    return table


def _written(share: Share) -> str:
    right = share.right
    if right.value is None or right.low is None or right.high is None:
        return "-"
    return f"{100 * right.value:.1f} [{100 * right.low:.1f}, {100 * right.high:.1f}]"
