"""`referent track`: a video and what to follow in, masks of every frame out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import INTERRUPTED, SOME_FAILED

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from referent.cli.tracked_objects import Wanted
    from referent.cli.tracks import Tracks
    from referent.segmentation import Segmentation
    from referent.tracker import Tracker
    from referent.tracking.objects import Name
    from referent.video import Frame, Video

OUT = Path("out")


def track(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="A video file, or a folder of pictures.")],
    phrase: Annotated[
        list[str] | None,
        typer.Option("--phrase", "-p", help='What to follow, as in "the dog". Given again: one more object.'),
    ] = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="Mask of the object on a frame of the video. Given again: a correction on a later frame."),
    ] = None,
    frame: Annotated[
        list[int] | None, typer.Option(min=0, help="Which frame each --example is of, counted from 0. Default 0.")
    ] = None,
    objects: Annotated[
        list[str] | None,
        typer.Option(
            "--object", help="NAME=PHRASE or NAME=MASK.png@FRAME: an object of its own name. Given again: one more."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="A name (see `referent models`), .safetensors file, folder or hub id."),
    ] = "unirefpp-pocket",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks, overlay and tracks.jsonl.")] = OUT,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
    overlay: Annotated[bool, typer.Option(help="Draw what was found on the video: overlay.mp4.")] = True,
    procedure: Annotated[
        str | None, typer.Option(help="Rules of a model that remembers: referent (default), davis-2017, lvos, ...")
    ] = None,
    smoothing: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the past in every answer of a model that does not.")
    ] = 0.0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; CUDA when there is one.")] = None,
    dtype: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    clip: Annotated[
        Path | None, typer.Option(help="The CLIP file that an adapter belongs to; looked for when not given.")
    ] = None,
) -> None:
    """Follow through a video what phrases and masks point at.

    Writes a palette PNG for every frame, the video with everything found drawn on it, and a JSON line for every frame.
    """
    from referent.cli.tracked_objects import wanted
    from referent.cli.tracks import Tracks, TracksHeader
    from referent.video import read_video

    asked = wanted(phrase or [], example or [], frame or [], objects or [])
    source = read_video(video)
    masks = _masks(asked, source)
    from referent.segmenter import load
    from referent.tracker import MemoryTracker

    segmenter = load(model, device=device, dtype=dtype, clip=clip)
    tracker = segmenter.track(asked.phrases, procedure=procedure, smoothing=smoothing)
    if masks:
        tracker.expect_masks()
    numbers = {name: number for number, name in enumerate(asked.phrases, start=1)}
    followed = tracker.procedure.name if isinstance(tracker, MemoryTracker) else None
    precision = str(segmenter.engine.dtype).removeprefix("torch.")
    header = TracksHeader(
        str(video), segmenter.name, asked.as_json(), numbers, smoothing, procedure=followed, precision=precision
    )
    with Tracks(out, header, resume, source if overlay else None) as tracks:
        interrupted, problems = _follow(tracker, source, masks, tracks)
    _report(tracks, asked, masks)
    for problem in problems:
        print(f"referent: {problem}", file=sys.stderr)
    if interrupted:
        print(f"referent: stopped after {len(tracks.found)} frames; --resume goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if problems or any(index >= len(tracks.found) for index in masks):
        raise typer.Exit(SOME_FAILED)


def _masks(asked: Wanted, video: Video) -> dict[int, dict[str, NDArray[np.bool_]]]:
    """All masks, read and checked before the work begins.

    Raises:
        VideoError: the video has no frame.
        PictureError: a mask cannot be read, or has another size than the video.
        BadReferenceError: an object begins with an empty one.
    """
    from referent.errors import BadReferenceError
    from referent.picture import read_mask

    first = next(iter(video)).picture
    size = first.height, first.width
    found = {
        index: {name: read_mask(path, size) for name, path in masks.items()} for index, masks in asked.masks.items()
    }
    for name, index, path in asked.first_masks:
        if asked.phrases[name] is None and not found[index][name].any():
            raise BadReferenceError(f"{path}: expected a mask of something to begin with, found an empty one")
    return found


def _follow(
    tracker: Tracker[dict[Name, Segmentation]],
    video: Video,
    masks: Mapping[int, Mapping[str, NDArray[np.bool_]]],
    tracks: Tracks,
) -> tuple[bool, list[str]]:
    """Frame after frame; what an earlier run has done is repeated without asking.

    Returns:
        Whether the user has ended it, and what is wrong with the video.
    """
    from referent.training.interrupt import Interrupts

    earlier, problems = len(tracks.found), list[str]()
    needed = tracker.needed(tracks.found, masks)
    with Interrupts() as interrupts, _progress(video.count) as advance:
        for frame in _readable(video, problems):
            shown = masks.get(frame.index, {})
            if frame.index >= earlier:
                tracks.add(frame, tracker.step(frame, shown))
            else:
                lines = tracks.repeat(frame)
                if frame.index in needed:
                    tracker.recall(frame, {line.name: line.mask for line in lines if line.found}, shown)
            advance(frame.index >= earlier)
            if interrupts.asked:
                return True, problems
    return False, problems


def _readable(video: Video, problems: list[str]) -> Iterator[Frame]:
    """Frames up to the first that cannot be read; why is added to `problems`."""
    from referent.errors import PictureError, VideoError

    try:
        yield from video
    except (PictureError, VideoError) as error:
        problems.append(str(error))


@contextmanager
def _progress(count: int | None) -> Iterator[Callable[[bool], None]]:
    """A bar with frames a second and the time that is left, where somebody may be looking; to be told after each frame
    whether the model was asked about it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]} a second"), TimeRemainingColumn())
    began, done = perf_counter(), 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("tracking", total=count, rate="-")

        def advance(asked: bool) -> None:
            nonlocal began, done
            done += asked
            began = began if asked else perf_counter()
            bar.update(task, advance=1, rate=f"{done / (perf_counter() - began):.1f}" if asked else "-")

        yield advance


def _report(tracks: Tracks, asked: Wanted, masks: Mapping[int, Mapping[str, object]]) -> None:
    """A line an object, and where everything is."""
    frames = len(tracks.found)
    for name in asked.phrases:
        seen = sum(name in found for found in tracks.found)
        late = [index for index, shown in masks.items() if name in shown and index >= frames]
        unseen = "".join(f"; its mask on frame {index} came too late" for index in sorted(late))
        typer.echo(f"{name}: found in {seen} of {frames} frames{unseen}")
    typer.echo(f"in {tracks.out}: " + ", ".join(sorted(path.name for path in tracks.out.iterdir())))
