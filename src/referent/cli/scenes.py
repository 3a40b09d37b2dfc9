"""`referent scenes`: make pictures of coloured solids with masks and phrases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def scenes(
    out: Annotated[Path, typer.Argument(help="Folder to write; new, or cut off earlier.", show_default=False)],
    n: Annotated[int, typer.Option("--n", min=1, help="How many pictures.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed makes other pictures.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Side of the square pictures, in pixels.")] = 256,
    clips: Annotated[int, typer.Option(min=0, help="How many clips of 24 frames besides.")] = 0,
) -> None:
    """Make pictures of coloured solids, with exact masks and phrases that are surely true."""
    import time
    from collections import Counter

    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from referent.data.scenes.writing import Settings, write_scenes

    console = Console(stderr=True)
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    steps = write_scenes(out, Settings(n, clips, seed, size), counts)
    for _ in track(steps, "making", total=n + clips, console=console, transient=True):
        pass
    seconds = time.perf_counter() - start
    table = Table("kind", "phrases", "share", caption=f"{seconds:.0f} s")
    for kind, count in counts.most_common():
        table.add_row(kind, str(count), f"{100 * count / counts.total():.1f} %")
    console.print(table)
    console.print(
        f"{out}: pictures: {n}, phrases: {counts.total()}, clips: {clips}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
