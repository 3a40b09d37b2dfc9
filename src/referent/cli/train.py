"""`referent train`: a recipe in, weights out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from referent.cli.exit_codes import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from referent.data.sample import Dataset
    from referent.segmenter import Segmenter


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe file, or the name of one that ships with the package.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings laid over the recipe: optimiser.lr=3e-4 steps=200."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the newest checkpoint in the recipe's output.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print what would be trained, and stop.")] = False,
) -> None:
    """Train a model as a recipe says.

    One process, or several under torchrun: torchrun --nproc-per-node 4 -m referent train RECIPE. Checkpoints, the
    log, pictures of predictions and the weights go to the recipe's `output`. Ctrl-C saves a checkpoint; --resume goes
    on from it, on a CPU to the very weights that an uninterrupted training gives.
    """
    from referent.training.recipe import load_recipe

    read = load_recipe(recipe, overrides or [])
    if dry_run:
        from referent.training.plan import make_plan

        typer.echo(make_plan(read).describe())
        return
    # A package updated during a long training must not break its validation.
    import referent.evaluation.class_tasks
    import referent.evaluation.objects
    import referent.evaluation.run  # noqa: F401
    from referent.training.loop import train as run

    outcome = run(read, resume=resume, evaluate=scores)
    speaks = os.environ.get("RANK", "0") == "0"  # torchrun's number of this process
    if outcome.interrupted:
        again = " ".join(["referent train", recipe, *(overrides or []), "--resume"])
        if speaks:
            typer.echo(f"stopped after step {outcome.step} of {outcome.total}; to go on: {again}", err=True)
        raise typer.Exit(INTERRUPTED)
    if speaks:
        typer.echo(str(outcome.weights))


def scores(segmenter: Segmenter, dataset: Dataset) -> Mapping[str, float]:
    """The numbers of protocol `referent`, AUROC where some phrases are true of nothing, and those by class where class
    names are asked; of detection COCO's."""
    from referent.errors import DataError
    from referent.evaluation.class_tasks import evaluate_classes
    from referent.evaluation.objects import evaluate_objects
    from referent.evaluation.run import evaluate

    if any(sample.labels for sample in dataset.samples):
        return evaluate_objects(segmenter, dataset)
    result = evaluate(segmenter, dataset, replicates=0)
    if result.failed:
        # A best checkpoint chosen on fewer pictures than another would be chosen by luck.
        raise DataError(f"{result.failed[0].picture}: left out of the validation: {result.failed[0].error}")
    numbers = {**result.scores["referent"].overall.numbers, "AUROC": result.auroc}
    of_phrases = {name: interval.value for name, interval in numbers.items() if interval.value is not None}
    return {**of_phrases, **(evaluate_classes(segmenter, dataset, replicates=0).numbers() if dataset.classes else {})}
