"""`referent explain`: why a grounding system answers as it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.writable import check_writable

if TYPE_CHECKING:
    from referent.grounding.explanation import Explanation


def explain(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photograph.")],
    expression: Annotated[str, typer.Argument(help='What to find, as in "the man to the left of the dog".')],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="A grounding system: reclip, ..., or a .yaml file; with --hide a MagNet's weights."
        ),
    ] = "reclip",
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to draw it (PNG).")] = Path("explanation.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else.")] = False,
    hide: Annotated[
        str | None, typer.Option(metavar="WORD", help="Hide this word of the expression from a MagNet that guesses it.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="With --hide: a PNG of what is meant; the model's own answer when not given.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; CUDA when there is one.")] = None,
) -> None:
    """Show how an expression was understood, and every proposal's probability after each step.

    With --hide and a MagNet that was trained with grounding: the likeliest words in place of a hidden one.
    """
    from referent import zoo
    from referent.errors import BadReferenceError
    from referent.reference import Phrase

    if hide is not None:
        return _guess(model, photo, Phrase(expression).text, hide, mask, device, as_json)
    if mask is not None:
        raise typer.BadParameter("needs --hide, the word that is guessed from it", param_hint="--mask")
    check_writable([out])
    text = Phrase(expression).text.lower()
    if not zoo.is_system(model):
        able = ", ".join(row.name for row in zoo.list_models() if row.family in zoo.COMPOSED)
        raise BadReferenceError(f"{model}: expected a grounding system ({able}) or the .yaml file of one")
    from referent.grounding.explanation import explain as explained
    from referent.grounding.explanation_picture import draw_explanation
    from referent.grounding.load import load
    from referent.segmentation import save_png

    system = load(zoo.find(model), device)
    parses = system.parses([text])
    look = system.look_closely(photo)
    explanation = explained(look, text, parses[0] if parses else None, system.name)
    save_png(draw_explanation(look.pictures[0], explanation), out)
    if as_json:
        import json

        typer.echo(json.dumps(explanation.to_json(), ensure_ascii=False))
        return
    _show(explanation)
    typer.echo(f"drawn: {out}")


def _guess(
    model: str, photo: Path, expression: str, word: str, mask: Path | None, device: str | None, as_json: bool
) -> None:
    from referent.cli.hidden_words import hidden_words

    guesses = hidden_words(model, photo, expression, word, mask, device)
    if as_json:
        import json

        plain = [{"hidden": guess.hidden, "guesses": [list(one) for one in guess.words]} for guess in guesses]
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    for guess in guesses:
        typer.echo(f"in place of {guess.hidden}:")
        for text, probability in guess.words:
            typer.echo(f"  {probability:.3f}  {text}")


def _show(explanation: Explanation) -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(explanation.model)
    if explanation.tree:
        used = "" if explanation.resolution.used else " (not used: no keyword)"
        typer.echo("\n".join([f"understood{used}:", *(f"  {line}" for line in explanation.tree)]))
    table = Table("step", *(f"box {index}" for index in explanation.shown), box=None, padding=(0, 2, 0, 0))
    for told, probabilities in explanation.rows:
        table.add_row(told, *(f"{probabilities[index]:.3f}" for index in explanation.shown))
    Console(markup=False, highlight=False).print(table)
    x, y, width, height = explanation.boxes[explanation.resolution.best].tolist()
    typer.echo(f"answer: box {explanation.resolution.best} at {x:.0f},{y:.0f}, {width:.0f} x {height:.0f}")
