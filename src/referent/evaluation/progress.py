"""A bar on standard error for a long run, where that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

Item = TypeVar("Item")
Advance: TypeAlias = Callable[[int, str], object]
"""Told how many more are done, and what to call them."""


@contextmanager
def counted(name: str, total: int, progress: bool, done: int = 0) -> Iterator[Advance]:
    """A bar that counts from `done` to `total`, called `name` at first; none without `progress`."""
    if not progress:
        yield lambda count, name: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=total, completed=done)
        yield lambda count, name: bar.update(task, advance=count, description=name)


def shown(items: Sequence[Item], name: str, progress: bool) -> Iterator[Item]:
    """The same items; with `progress` behind a bar that counts them and says what they are."""
    with counted(name, len(items), progress) as advance:
        for item in items:
            yield item
            advance(1, name)
