"""`referent`: the command line. Every verb is one file beside this one, and imports what it needs when it runs."""

from __future__ import annotations

import io
import sys
from typing import Annotated, NoReturn

import typer

from referent.cli.ablate import ablate
from referent.cli.classes import classes
from referent.cli.compare import compare
from referent.cli.convert import convert
from referent.cli.data import data
from referent.cli.demo import demo
from referent.cli.describe import describe
from referent.cli.evaluate import evaluate
from referent.cli.exit_codes import INTERRUPTED, WRONG_CALL
from referent.cli.explain import explain
from referent.cli.look import look
from referent.cli.models import models
from referent.cli.scenes import scenes
from referent.cli.segment import segment
from referent.cli.spatial import spatial
from referent.cli.track import track
from referent.cli.train import train
from referent.errors import ReferentError

app = typer.Typer(
    name="referent",
    help="Segments, in pictures and videos, what a phrase or an example points at.",
    epilog="Exit codes: 0 done, 1 some inputs failed (named at the end), 2 wrong call, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (
    segment,
    track,
    models,
    convert,
    describe,
    scenes,
    train,
    ablate,
    evaluate,
    classes,
    compare,
    look,
    explain,
    spatial,
    demo,
):
    app.command()(verb)
app.add_typer(data, name="data")


def _version(asked: bool) -> None:
    if asked:
        from referent import __version__

        typer.echo(f"referent {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line; what a user can cause ends in one line on stderr and never in a traceback."""
    # A file name that is no UTF-8 is shown with escapes, and does not end the run.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except ReferentError as error:
        _leave(str(error))
    except OSError as error:
        _leave(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _leave(message: str) -> NoReturn:
    print(f"referent: {message}", file=sys.stderr)
    sys.exit(WRONG_CALL)
