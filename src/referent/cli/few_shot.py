"""What `referent evaluate` asks and shows where classes are asked for by examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from referent.data.few_shot.episodes import LISTINGS
from referent.data.few_shot.questions import FewShot
from referent.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from referent.evaluation.few_shot import FewShotScores, Spread


def few_shot_of(
    shots: int | None,
    seeds: int | None,
    episodes: int | None,
    listing: str | None,
    classes: Sequence[str] | None,
    leave_out: Sequence[str] | None,
    min_area: int | None,
    named: bool,
) -> FewShot | None:
    """The options of a few-shot evaluation together; None where there is none.

    Raises:
        DataError: options without `--shots`, or an unknown listing.
    """
    options: dict[str, Any] = {
        "seeds": seeds,
        "episodes": episodes,
        "listing": listing,
        "classes": classes and tuple(classes),
        "leave_out": leave_out and tuple(leave_out),
        "min_area": min_area,
        "named": named or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if shots is None:
        if given:
            told = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise DataError(f"{told}: expected --shots beside it, the number of examples to ask with")
        return None
    if listing is not None and listing not in LISTINGS:
        raise DataError(f"listing: expected {', '.join(LISTINGS)}, found {listing!r}")
    return FewShot(shots, **given)


def show_spreads(console: Console, scores: FewShotScores) -> None:
    """A table of means over seeds, and a line of classes from the worst to the best."""
    for protocol, spreads in scores.spreads.items():
        seeds = len(scores.episodes)
        table = Table(f"{protocol}, %", f"mean of {seeds} seeds", "deviation", "each", box=SIMPLE_HEAD)
        for name, spread in spreads.items():
            table.add_row(name, *_cells(spread))
        console.print(table)
    ordered = sorted(scores.classes.items(), key=lambda item: item[1])
    told = ", ".join(f"{name} {100 * value:.1f}" for name, value in ordered)
    console.print(f"IoU by class: {told}", highlight=False, markup=False, soft_wrap=True)


def _cells(spread: Spread) -> tuple[str, str, str]:
    mean, deviation, *each = (_percent(value) for value in (spread.mean, spread.deviation, *spread.seeds))
    return mean, deviation, " ".join(each)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
