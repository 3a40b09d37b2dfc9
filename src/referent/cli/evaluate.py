"""`referent evaluate`: score a model on a data set under named protocols."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from referent.cli.exit_codes import SOME_FAILED
from referent.cli.writable import check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from referent.evaluation.metrics import Interval
    from referent.evaluation.result import ProtocolScores, Result


# Characters that the table of numbers takes for their names and for each protocol.
NUMBER_WIDTH, PROTOCOL_WIDTH = 16, 21


def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model's name (see `referent models`), a weight file, a folder or hub id.")
    ],
    data: Annotated[
        Path,
        typer.Argument(
            help="COCO file with `phrases`, .jsonl file, or folder of a published data set; also videos. With --shots "
            "any COCO file, FSS-1000, other class folders, or PASCAL VOC."
        ),
    ],
    split: Annotated[str, typer.Option(help="Which part of the data to ask.")] = "val",
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of the pictures, where they do not lie in a usual place.")
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option("--allow-missing", help="Go on where pictures are missing, and count them in the result."),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Ask a published data set's sentences as they were typed, not as cleaned.")
    ] = False,
    class_names: Annotated[
        bool,
        typer.Option("--class-names", help="Ask every class name of a COCO file of every picture, not its phrases."),
    ] = False,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="referent (default), cris, lavt, unirefpp, grefcoco, ... (docs/protocols.md); several with commas. "
            "Of videos the data set's own by default: davis, youtube-vos, lvos, mose, ref-davis, mevis, ..."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only phrases of this kind; may be given several times.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Only phrases with this tag: name=cat,dog or name=@voc, or targets=1 (about one thing); may be given "
            "several times."
        ),
    ] = None,
    smallest: Annotated[
        float, typer.Option(help="Only phrases whose targets cover at least this share of their picture: 0.01.")
    ] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many phrases.")] = None,
    shots: Annotated[
        int | None, typer.Option(min=1, help="Ask for classes by so many examples each, not by phrases.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Lists of episodes to draw, for a standard deviation. Default: 5.")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Episodes of each list. Default: 1000.")] = None,
    listing: Annotated[
        str | None, typer.Option(help="drawn, every or first: which episodes (docs/evaluate.md). Default: by the data.")
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(help="Only these classes: cat,dog, a file of names, or @coco-20i/0; may be given several times."),
    ] = None,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Not these classes, likewise; may be given several times.")
    ] = None,
    min_area: Annotated[
        int | None, typer.Option(min=0, help="Only pictures with so many pixels of a class show it. Default: 0.")
    ] = None,
    named: Annotated[bool, typer.Option("--named", help="Say a class's name beside its examples.")] = False,
    reference: Annotated[
        str | None,
        typer.Option(help="Of videos: show each object by mask (default), phrase (the sequence's name), or both."),
    ] = None,
    procedure: Annotated[
        str | None,
        typer.Option(
            help="Of videos: rules by which a model that remembers follows objects (docs/track.md). Default: the "
            "protocol's."
        ),
    ] = None,
    smoothing: Annotated[
        float, typer.Option(min=0, max=0.99, help="Of videos: share of the past in answers of a model without memory.")
    ] = 0.0,
    submission: Annotated[
        Path | None, typer.Option(help="Of videos: write the archive for the benchmark's server here (.zip).")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write predictions here (JSON lines; of videos a folder); the same command again continues an "
            "interrupted run."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result here (JSON).")] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the worst answers here (PNG).")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32 or bf16.")] = None,
    clip: Annotated[
        Path | None, typer.Option(help="The CLIP file that an adapter belongs to; looked for when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score MODEL on DATA: oIoU, mIoU, Pr@0.5..0.9, AUROC, with 95 % intervals over pictures.

    With --shots: class-mIoU and FB-IoU of classes that are asked for by examples, with the deviation over seeds.

    On videos: J, F and what their benchmarks make of them, with intervals over videos.

    Exit code 1 when some pictures or videos could not be answered (they are named and left out of the numbers).
    """
    from referent import segmenter, weights, zoo
    from referent.cli.evaluate_videos import Asked, follow
    from referent.cli.few_shot import few_shot_of
    from referent.data.few_shot.voc import find_voc
    from referent.data.published.layout import find_layout
    from referent.data.videos.opening import find_videos
    from referent.errors import DataError
    from referent.evaluation.run import evaluate as run
    from referent.evaluation.selection import parse
    from referent.evaluation.source import Source

    names = [name.strip() for value in protocol or () for name in value.split(",") if name.strip()]
    if shots is None and find_voc(data) is not None:
        raise DataError(f"{data}: holds PASCAL VOC's class masks: ask for its classes by examples, --shots 1")
    # PASCAL VOC's folder looks like DAVIS's.
    if shots is None and find_layout(data) is None and find_videos(data) is not None:
        of_pictures = {
            "--pictures": pictures, "--allow-missing": allow_missing, "--raw": raw, "--class-names": class_names,
            "--kind": kind, "--smallest": smallest, "--limit": limit, "--seeds": seeds, "--episodes": episodes,
            "--listing": listing, "--classes": classes, "--leave-out": leave_out, "--min-area": min_area is not None,
            "--named": named,
        }  # fmt: skip
        given = [name for name, value in of_pictures.items() if value]
        if given:
            raise DataError(f"{data}: holds videos: leave out {', '.join(given)}")
        asked = Asked(
            model=model, data=data, split=split, protocols=names, given=reference,
            procedure=procedure, smoothing=smoothing,
            where=parse(where or []), save=save, submission=submission, out=out, draw=draw, device=device, dtype=dtype,
            clip=clip, as_json=as_json,
        )  # fmt: skip
        return follow(asked)
    if reference or procedure or smoothing or submission:
        raise DataError(f"{data}: holds no videos: leave out --reference, --procedure, --smoothing and --submission")
    check_writable((save, out, draw))
    few_shot = few_shot_of(shots, seeds, episodes, listing, classes, leave_out, min_area, named)
    if few_shot is not None and (class_names or raw):
        raise DataError("--shots asks by examples: leave out --class-names and --raw")
    source = Source(str(data), None if pictures is None else str(pictures), class_names, raw, few_shot)
    dataset = source.open(split, allow_missing=allow_missing)
    if few_shot is not None:
        # Names in place of files, which may change: the result must say what was asked.
        source = replace(source, few_shot=replace(few_shot, classes=dataset.classes, leave_out=()), split=split)
    conditions = parse([*(where or []), *(f"kind={value}" for value in kind or [])])
    loaded = segmenter.load(model, device=device, dtype=dtype, clip=clip)
    if few_shot is not None:
        loaded.check_kinds({"example", "phrase"} if named else {"example"})
    try:
        result = run(
            loaded,
            dataset,
            names or ["referent" if few_shot is None else "fss"],
            save=save,
            where=conditions,
            smallest=smallest,
            limit=limit,
            weights_sha256=weights.sha256(zoo.find(model)),
            command=shlex.join(["referent", *sys.argv[1:]]),
            source=source,
            progress=not as_json,
        )
    except KeyboardInterrupt:
        if save is not None:
            typer.echo(f"referent: stopped; the same command again continues {save}", err=True)
        raise
    if out is not None:
        result.save(out)
    if draw is not None:
        from referent.evaluation.worst import draw_worst

        draw_worst(loaded, dataset, result, draw)
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _show(result, [path for path in (save, out, draw) if path])
    if result.failed:
        raise typer.Exit(SOME_FAILED)


def _show(result: Result, written: list[Path]) -> None:
    from rich.console import Console

    from referent.cli.few_shot import show_spreads

    console = Console()
    chosen = f", {_listed(result.where)}" if result.where else ""
    chosen += f", {100 * result.smallest:g} % of the picture or more" if result.smallest else ""
    asked = (
        f"{result.phrases} phrases ({result.absent} true of nothing)"
        if result.few_shot is None
        else f"{result.phrases} episodes about {len(result.few_shot.classes)} classes"
    )
    console.print(
        f"[bold]{result.model}[/] on {result.dataset} ({result.split}{chosen}): {asked}, {result.pictures} pictures, "
        f"{result.seconds:.1f} s",
        highlight=False,
        soft_wrap=True,
    )
    if result.missing.phrases:
        missing = f"left out: {result.missing.phrases} phrases, whose {result.missing.pictures} pictures are missing"
        console.print(missing, highlight=False, soft_wrap=True)
    names, fitting = list(result.scores), max(1, (console.width - NUMBER_WIDTH) // PROTOCOL_WIDTH)
    for start in range(0, len(names), fitting):
        console.print(_overall(result, names[start : start + fitting]))
    if result.few_shot is not None:
        show_spreads(console, result.few_shot)
    for name, one in result.scores.items():
        for note in one.notes:
            console.print(f"{name}: {note}", highlight=False, markup=False, soft_wrap=True)
    first = next(iter(result.scores.values()))
    if len(first.kinds) > 1:
        console.print(_by_kind(first))
    if result.counters:
        counted = ", ".join(f"{name} {count}" for name, count in result.counters.items())
        console.print(f"counted by the model: {counted}", highlight=False, soft_wrap=True)
    for path in written:
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    errors = Console(stderr=True)
    for failure in result.failed:
        message = f"left out: {failure.picture} ({failure.phrases} phrases): {failure.error}"
        errors.print(message, highlight=False, markup=False, soft_wrap=True)


def _overall(result: Result, names: Sequence[str]) -> Table:
    """The numbers of some of the protocols side by side."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from referent.evaluation.metrics import UNDEFINED

    scores = [result.scores[name] for name in names]
    table = Table("% [95 %]", *(f"{one.protocol.name} v{one.protocol.version}" for one in scores), box=SIMPLE_HEAD)
    numbers = [one.overall.numbers for one in scores]
    headlines = [one.protocol.headline for one in scores]
    for name in dict.fromkeys(name for protocol in numbers for name in protocol):
        # Where no phrase is true of nothing, mIoU says the same.
        repeated = name == "mIoU-present" and not result.absent
        row = [protocol.get(name, UNDEFINED) for protocol in numbers]
        if not repeated and any(number.value is not None for number in row):
            styles = ["bold" if name in headline else "" for headline in headlines]
            table.add_row(name, *map(Text, map(_written, row), styles))
    if result.auroc.value is not None:
        table.add_row("AUROC", *[_written(result.auroc)] * len(numbers))
    return table


def _by_kind(scores: ProtocolScores) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    protocol, usual = scores.protocol, ("mIoU", "oIoU", "Pr@0.5")
    first, *others = usual if set(usual) <= set(protocol.numbers) else protocol.headline
    table = Table(f"kind ({protocol.name})", "phrases", "pictures", first, *others, box=SIMPLE_HEAD)
    for kind, one in scores.kinds.items():
        rest = [_written(replace(one.numbers[name], low=None)) for name in others]
        table.add_row(kind, str(one.phrases), str(one.pictures), _written(one.numbers[first]), *rest)
    return table


def _written(number: Interval) -> str:
    if number.value is None:
        return "-"
    interval = (
        "" if number.low is None or number.high is None else f" [{100 * number.low:.1f}, {100 * number.high:.1f}]"
    )
    return f"{100 * number.value:.2f}{interval}"


def _listed(where: Any) -> str:
    return ", ".join(f"{tag} {' or '.join(values)}" for tag, values in where.items())
