"""`referent segment`: pictures with phrases or examples in, masks out."""

from __future__ import annotations

import io
import sys
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from referent.reference import PictureSource, Reference

OUT = Path("out")
USUAL = "cris-pocket"


def segment(
    pictures: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO...",
            help="Files, folders, globs; - reads a picture, or a list of paths, from standard input.",
        ),
    ],
    phrase: Annotated[
        list[str] | None, typer.Option("--phrase", "-p", help='What to find, as in "the left cup". May be given again.')
    ] = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="Another picture that shows what to find; its --mask says where. May be given again."),
    ] = None,
    mask: Annotated[
        list[Path] | None, typer.Option(help="Mask of an --example, of its size and two values; in the same order.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="A name (see `referent models`), .safetensors file, folder or hub id. Default: cris-pocket; for "
            "examples the first one in the package that takes them.",
        ),
    ] = None,
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
    """Find what phrases or examples point at in photographs.

    Examples alone ask one question, several of them together; with phrases they are shown beside each of them. Writes
    a mask PNG for every question, an overlay PNG for every photograph (with examples a sheet too) and one COCO file
    for the run, and prints a line an answer.
    """
    from referent.cli.answers import Answers, answer_all

    references = _references(phrase or [], example or [], mask or [])
    sources = _sources(pictures)
    from referent.segmenter import load

    kinds = references[0].kinds
    segmenter = load(model or _usual(kinds), device=device, dtype=dtype, clip=clip)
    segmenter.check_kinds(kinds)
    answers = Answers(out, segmenter.name, quiet=as_json)
    document = answer_all(segmenter, sources, repeat(references), answers)
    if as_json:
        import json

        typer.echo(json.dumps(document))
    if answers.failed:
        raise typer.Exit(SOME_FAILED)


def _references(phrases: Sequence[str], examples: Sequence[Path], masks: Sequence[Path]) -> list[Reference]:
    """The questions, each with all examples."""
    from referent.picture import read_example
    from referent.reference import Example, Phrase, Reference

    if len(examples) != len(masks):
        raise typer.BadParameter(
            f"expected one for each --example, found {len(masks)} for {len(examples)}", param_hint="--mask"
        )
    if not phrases and not examples:
        raise typer.BadParameter("expected what to find, or an --example of it, found neither", param_hint="--phrase")
    shown = tuple(Example(picture, mask) for picture, mask in zip(examples, masks, strict=True))
    for one in shown:
        read_example(one)
    return [Reference(Phrase(text), shown) for text in phrases] or [Reference(examples=shown)]


def _usual(kinds: Collection[str]) -> str:
    """The model that answers where none is named."""
    from referent import zoo

    able = (row.name for row in zoo.list_models() if row.packaged and set(kinds) <= set(row.takes))
    return USUAL if "example" not in kinds else next(able, USUAL)


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
