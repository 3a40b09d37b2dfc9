"""`referent evaluate` on videos: objects are followed, and scored frame by frame."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from referent.cli.exit_codes import SOME_FAILED
from referent.cli.writable import check_writable
from referent.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from referent.data.videos.video import VideoSet
    from referent.evaluation.metrics import Interval
    from referent.evaluation.videos.protocols import VideoProtocol
    from referent.evaluation.videos.questions import Given
    from referent.evaluation.videos.result import VideoResult

SHOWN = 12
"""Videos in the printed table: those that went worst."""


@dataclass(frozen=True)
class Asked:
    """What was asked for on the command line, as the options say it."""

    model: str
    data: Path
    split: str
    protocols: Sequence[str]
    given: str | None
    procedure: str | None
    smoothing: float
    where: Mapping[str, Sequence[str]]
    save: Path | None
    submission: Path | None
    out: Path | None
    draw: Path | None
    device: str | None
    dtype: str | None
    clip: Path | None
    as_json: bool


def follow(asked: Asked) -> None:
    """Scores a model on a set of videos and prints the result.

    Raises:
        DataError: options that do not fit, or what `evaluate_videos` raises.
        typer.Exit: some videos failed.
    """
    from referent import segmenter, weights, zoo
    from referent.data.videos.opening import open_videos
    from referent.evaluation.videos.run import evaluate_videos
    from referent.evaluation.videos.submission import check_submission

    check_writable((asked.out, asked.draw, asked.submission))
    if asked.save is None and (asked.draw or asked.submission):
        raise DataError("--draw and --submission of videos are made from answers on disk: give a folder with --save")
    if asked.where.keys() - {"video"}:
        raise DataError("--where: videos are chosen by name: video=bear,bus")
    videos = open_videos(asked.data, asked.split)
    if asked.submission is not None:
        check_submission(videos)
    if asked.draw is not None and videos.task != "semi-supervised":
        raise DataError("--draw: shows objects beside their truth, not answers to expressions")
    names = [*asked.protocols] or [usual_protocol(videos)]
    try:
        result = evaluate_videos(
            segmenter.load(asked.model, device=asked.device, dtype=asked.dtype, clip=asked.clip),
            videos,
            names,
            given=_given(asked.given),
            procedure=asked.procedure,
            smoothing=asked.smoothing,
            save=asked.save,
            where=tuple(asked.where.get("video", ())),
            weights_sha256=weights.sha256(zoo.find(asked.model)),
            command=shlex.join(["referent", *sys.argv[1:]]),
            data=str(asked.data),
            progress=not asked.as_json,
        )
    except KeyboardInterrupt:
        if asked.save is not None:
            typer.echo(f"referent: stopped; the same command again continues {asked.save}", err=True)
        raise
    written = [path for path in (asked.save, asked.out, asked.draw, asked.submission) if path]
    _write(asked, videos, result)
    report(result, written, asked.as_json)


def report(result: VideoResult, written: Sequence[Path], as_json: bool) -> None:
    """Prints a result.

    Raises:
        typer.Exit: some videos failed.
    """
    if as_json:
        typer.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _show(result, written)
    if result.failed:
        raise typer.Exit(SOME_FAILED)


def usual_protocol(videos: VideoSet) -> str:
    """The protocol of a data set's own benchmark."""
    if videos.task == "unsupervised":
        return "davis-unsupervised"
    return {"ovis": "davis"}.get(videos.family, videos.family)


def _given(value: str | None) -> Given:
    match value:
        case None | "mask":
            return "mask"
        case "phrase":
            return "phrase"
        case "both":
            return "both"
    raise DataError(f"--reference: expected mask, phrase or both, found {value!r}")


def _write(asked: Asked, videos: VideoSet, result: VideoResult) -> None:
    from referent.evaluation.videos.journal import MASKS
    from referent.evaluation.videos.protocols import find_video_protocols
    from referent.evaluation.videos.strips import draw_strips
    from referent.evaluation.videos.submission import write_submission

    protocol = find_video_protocols([*asked.protocols] or [usual_protocol(videos)], videos.task)[0]
    if asked.out is not None:
        result.save(asked.out)
    if asked.draw is not None and asked.save is not None:
        draw_strips(videos, asked.save, asked.draw)
    if asked.submission is not None and asked.save is not None:
        chosen = videos.only(result.where) if result.where else videos
        write_submission(asked.save / MASKS, chosen, protocol, asked.submission)


def _show(result: VideoResult, written: Sequence[Path]) -> None:
    from rich.console import Console

    console = Console()
    speed = f", {result.frames_per_second:g} frames a second" if result.frames_per_second else ""
    console.print(
        f"[bold]{result.model}[/] on {result.dataset} ({result.split or 'all'}) by {result.given}: "
        f"{result.videos} videos, {result.objects} objects, {result.frames} frames, {result.seconds:.1f} s{speed}",
        highlight=False,
        soft_wrap=True,
    )
    if result.scores:
        console.print(_overall(result))
        console.print(_worst(result))
    else:
        console.print("nothing to compare with: no masks are known but those that were shown", highlight=False)
    for one in result.scores.values():
        for note in one.notes:
            console.print(f"{one.protocol.name}: {note}", highlight=False, markup=False, soft_wrap=True)
    for path in written:
        console.print(f"written: {path}", highlight=False, markup=False, soft_wrap=True)
    errors = Console(stderr=True)
    for failure in result.failed:
        errors.print(f"left out: {failure.video}: {failure.error}", highlight=False, markup=False, soft_wrap=True)


def _overall(result: VideoResult) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    protocols = [one.protocol for one in result.scores.values()]
    table = Table("% [95 %]", *(f"{one.name} v{one.version}" for one in protocols), box=SIMPLE_HEAD)
    for name in dict.fromkeys(name for protocol in protocols for name in protocol.numbers):
        numbers = [one.overall.numbers.get(name) for one in result.scores.values()]
        if any(number is not None and number.value is not None for number in numbers):
            styles = ["bold" if name in protocol.headline else "" for protocol in protocols]
            table.add_row(name, *map(Text, map(_written, numbers), styles))
    return table


def _worst(result: VideoResult) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    first = next(iter(result.scores.values()))
    table = Table(f"lowest ({_key(first.protocol)})", "objects", "J&F", "J", "F", box=SIMPLE_HEAD)
    known = {name: one for name, one in first.sequences.items() if one.numbers["J&F"].value is not None}
    for name in sorted(known, key=lambda name: known[name].numbers["J&F"].value or 0)[:SHOWN]:
        one = known[name]
        table.add_row(name, str(one.objects), *(_written(one.numbers[number]) for number in ("J&F", "J", "F")))
    return table


def _key(protocol: VideoProtocol) -> str:
    return f"{protocol.name} v{protocol.version}"


def _written(number: Interval | None) -> str:
    if number is None or number.value is None:
        return "-"
    if number.low is None or number.high is None:
        return f"{100 * number.value:.1f}"
    return f"{100 * number.value:.1f} [{100 * number.low:.1f}, {100 * number.high:.1f}]"
