"""`referent classes`: a model asked with all class names, scored by class."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED
from referent.cli.writable import check_writable

if TYPE_CHECKING:
    from referent.evaluation.class_tasks import ClassResult
    from referent.evaluation.metrics import Interval


def classes(
    model: Annotated[
        str, typer.Argument(help="A model's name (see `referent models`), a weight file, a folder or hub id.")
    ],
    data: Annotated[Path, typer.Argument(help="COCO file, or folder with one folder of pictures a class.")],
    split: Annotated[str, typer.Option(help="Which part of the data to ask.")] = "val",
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of a COCO file's pictures, where they do not lie beside it.")
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="semantic, detection or classification, or several; else all that model and data allow."),
    ] = None,
    background: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Up to which probability a pixel is background; the model's threshold unless given."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many pictures, spread evenly.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result here (JSON).")] = None,
    draw: Annotated[Path | None, typer.Option(help="Write every picture's class map here (a folder of PNGs).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32 or bf16.")] = None,
    clip: Annotated[
        Path | None, typer.Option(help="The CLIP file that an adapter belongs to; looked for when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Ask MODEL every class name of DATA: class maps (mIoU), boxes (COCO's mAP), labels (top-1), with 95 % intervals.

    Exit code 1 when some pictures could not be answered (they are named and left out of the numbers).
    """
    from referent import segmenter, weights, zoo
    from referent.data.loading import open_classes
    from referent.evaluation.class_tasks import chosen, evaluate_classes

    check_writable((out,))
    dataset = open_classes(data, split, pictures=pictures)
    loaded = segmenter.load(model, device=device, dtype=dtype, clip=clip)
    result = evaluate_classes(
        loaded,
        dataset,
        chosen(task or []),
        background=background,
        draw=draw,
        limit=limit,
        weights_sha256=weights.sha256(zoo.find(model)),
        command=shlex.join(["referent", *sys.argv[1:]]),
        progress=not as_json,
    )
    if out is not None:
        result.save(out)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _show(result)
    for failure in result.failed:
        typer.echo(f"left out: {failure.picture}: {failure.error}", err=True)
    if result.failed:
        raise typer.Exit(SOME_FAILED)


def _show(result: ClassResult) -> None:
    typer.echo(
        f"{result.model} on {result.dataset} ({result.split}): {len(result.classes)} classes, {result.pictures} "
        f"pictures, {result.seconds:.1f} s"
    )
    for task, scores in result.tasks.items():
        typer.echo(f"{task}, {scores.pictures} pictures")
        for name, interval in scores.numbers.items():
            typer.echo(f"  {name:22}{_percent(interval)}")


def _percent(number: Interval) -> str:
    assert number.value is not None
    ends = "" if number.low is None or number.high is None else f"  [{100 * number.low:.2f}, {100 * number.high:.2f}]"
    return f"{100 * number.value:6.2f}{ends}"
