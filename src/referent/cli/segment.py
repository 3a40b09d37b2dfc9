"""`referent segment`: pictures and phrases in, masks out."""

from __future__ import annotations

import io
import sys
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED

if TYPE_CHECKING:
    from referent.reference import PictureSource

OUT = Path("out")


def segment(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO...",
            help="Files, folders, globs; - reads a picture, or a list of paths, from standard input.",
        ),
    ],
    phrase: Annotated[
        list[str], typer.Option("--phrase", "-p", help='What to find, as in "the left cup". May be given again.')
    ],
    model: Annotated[
        str,
        typer.Option("--model", "-m", help="A name (see `referent models`), .safetensors file, folder or hub id."),
    ] = "cris-pocket",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks, overlays and the COCO file.")] = OUT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the COCO file on standard output, and nothing else.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; CUDA when there is one.")] = None,
    dtype: Annotated[str, typer.Option(help="fp32 or bf16.")] = "fp32",
    clip: Annotated[
        Path | None, typer.Option(help="The CLIP file that an adapter belongs to; looked for when not given.")
    ] = None,
) -> None:
    """Find what phrases point at in photographs.

    Writes a mask PNG for every phrase, an overlay PNG for every photograph and one COCO file for the run, and prints
    a line an answer.
    """
    from referent.cli.answers import Answers, answer_all
    from referent.reference import Phrase

    phrases = [Phrase(text).text for text in phrase]
    sources = _sources(pictures)
    from referent.segmenter import load

    segmenter = load(model, device=device, dtype=dtype, clip=clip)
    answers = Answers(out, segmenter.name, quiet=as_json)
    document = answer_all(segmenter, sources, repeat(phrases), answers)
    if as_json:
        import json

        typer.echo(json.dumps(document))
    if answers.failed:
        raise typer.Exit(SOME_FAILED)


def _sources(pictures: list[str]) -> list[tuple[str, PictureSource]]:
    """(name, source) pairs; a picture on standard input is told from a list of paths by not being text."""
    from referent.picture import find_pictures

    listing = None
    sources: list[tuple[str, PictureSource]] = []
    if "-" in pictures:
        content = sys.stdin.buffer.read()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            sources.append(("-", content))
            pictures = [picture for picture in pictures if picture != "-"]
        else:
            listing = io.StringIO(text)
    sources += [(str(path), path) for path in find_pictures(pictures, listing)]
    if not sources:
        raise typer.BadParameter("expected pictures, found none", param_hint="PHOTO")
    return sources
