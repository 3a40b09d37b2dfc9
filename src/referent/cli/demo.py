"""`referent demo`: the shipped model on three photographs that are on the machine already."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from referent.cli.exit_codes import SOME_FAILED
from referent.errors import PictureError

PHOTOGRAPHS = {
    "chelsea.png": ["the cat", "the sofa"],
    "astronaut.png": ["the woman", "the person", "the bicycle"],
    "coffee.png": ["the cup", "the table", "the dog"],
}
"""Public-domain and CC0 photographs inside scikit-image's wheel; the last phrase of each is true of nothing."""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for masks, overlays and the COCO file.")] = Path(
        "out"
    ),
    model: Annotated[str, typer.Option("--model", "-m", help="The model to show.")] = "cris-pocket",
) -> None:
    """Segment scikit-image's photographs (a cat, an astronaut, a cup of coffee) by phrase; downloads nothing."""
    from referent.cli.answers import Answers, answer_all

    folder = photographs()
    from referent.segmenter import load

    segmenter = load(model)
    answers = Answers(out, segmenter.name)
    answer_all(segmenter, [(name, folder / name) for name in PHOTOGRAPHS], PHOTOGRAPHS.values(), answers)
    if answers.failed:
        raise typer.Exit(SOME_FAILED)


def photographs() -> Path:
    """The folder of scikit-image's own photographs, found without importing it.

    Raises:
        PictureError: scikit-image is not installed.
    """
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise PictureError("demo: its photographs are inside scikit-image: pip install 'referent[demo]'")
    return Path(package.origin).parent / "data"
