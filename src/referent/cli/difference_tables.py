"""Differences between results as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from referent.evaluation.differences import Differences, Group, Paired, Part, usual_number
from referent.evaluation.metrics import Interval

FOOTNOTE = (
    "▲ ▼: the 95 % interval of the difference excludes 0. Where nothing truly differs, one row in twenty does so too."
)

# Sums of the same numbers in another order differ by less.
ROUNDING = 1e-9


def show(console: Console, found: Differences, number: str | None) -> None:
    """Every part: what differs in how its results were made, all numbers, then one number by group of phrases.

    Args:
        console: where to.
        found: to show.
        number: shown by group; None for the usual one of each protocol.
    """
    for part in found.parts:
        _show_part(console, part, number)
    console.print(FOOTNOTE, soft_wrap=True, highlight=False)


def _show_part(console: Console, part: Part, number: str | None) -> None:
    title = f"{part.dataset} ({part.split}): {part.phrases} phrases that all of them answered"
    console.print(title, style="bold", markup=False, highlight=False, soft_wrap=True)
    for note in part.notes:
        console.print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if part.settings:
        table = Table("differs in", *map(escape, part.names), box=SIMPLE_HEAD)
        for name, values in part.settings.items():
            table.add_row(name, *map(escape, values))
        console.print(table)
    for name, one in part.protocols.items():
        console.print(_overall(f"{name} v{one.protocol.version}", part.names, one.groups[0]))
    for name, one in part.protocols.items():
        chosen = number or usual_number(one.protocol)
        if chosen in one.protocol.numbers and len(one.groups) > 1:
            console.print(_by_group(f"{chosen} ({name})", chosen, part.names, one.groups))


def _overall(title: str, names: Sequence[str], group: Group) -> Table:
    table = Table(f"% ({title})", *columns(names), box=SIMPLE_HEAD)
    for number, paired in group.numbers.items():
        if any(one.value is not None for one in paired.values):
            table.add_row(number, *cells(paired))
    return table


def _by_group(title: str, number: str, names: Sequence[str], groups: Sequence[Group]) -> Table:
    table = Table(Column(title, no_wrap=True), "n", *columns(names), box=SIMPLE_HEAD)
    before = ""
    for group in groups[1:]:
        if group.by != before:
            table.add_section()
        label = f"{group.by}: {group.name}"
        table.add_row(escape(label), str(group.phrases), *cells(group.numbers[number]))
        before = group.by
    return table


def columns(names: Sequence[str]) -> list[Column]:
    """One for the first result, two for each further one: its number, and the difference to the first."""
    first, *others = map(escape, names)
    # A difference in two lines is hard to read; its title is not.
    pairs = ((Column(name, overflow="fold"), Column(f"{name}\n- {first}", no_wrap=True)) for name in others)
    return [Column(first, overflow="fold"), *(column for pair in pairs for column in pair)]


def cells(paired: Paired) -> Iterator[str]:
    """What stands in these columns, in percent; differences with their intervals."""
    first, *others = paired.values
    yield _percent(first)
    for value, difference in zip(others, paired.differences, strict=True):
        yield _percent(value)
        yield _signed(difference)


def _percent(number: Interval) -> str:
    return "-" if number.value is None else f"{100 * number.value:.2f}"


def _signed(number: Interval) -> str:
    """A difference in points with its interval, marked where that excludes 0."""
    if number.value is None:
        return "-"
    text = f"{100 * number.value:+.2f}"
    if number.low is None or number.high is None:
        return text
    text += escape(f" [{100 * number.low:+.1f}, {100 * number.high:+.1f}]")
    if number.low > ROUNDING:
        return f"[green]{text} ▲[/]"
    return f"[red]{text} ▼[/]" if number.high < -ROUNDING else text
