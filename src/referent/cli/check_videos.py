"""What `referent data check` prints of data sets of videos."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from referent.data.videos.check import VideoFinding, VideoSplit

SHOWN = 5


def show_videos(console: Console, finding: VideoFinding) -> None:
    """One data set: a table of its splits, and what is wrong with them."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console.print(f"{finding.path} ({finding.source.title})")
    table = Table("split", "videos", "objects", "expressions", "frames", "", box=SIMPLE_HEAD)
    for split in finding.splits:
        numbers = (split.videos, split.objects, split.expressions, split.frames)
        table.add_row(split.name or "all", *(f"{number:,}" for number in numbers), _verdict(split))
    console.print(table)
    for split in finding.splits:
        for problem in split.problems[:SHOWN]:
            console.print(f"    {split.name or 'all'}: {problem}")
        if len(split.problems) > SHOWN:
            console.print(f"    ... and {len(split.problems) - SHOWN} more")


def say_where_videos(console: Console, there: Collection[str]) -> None:
    """Where to get the data sets of videos that are not there.

    Args:
        console: to print on.
        there: titles of those that are.
    """
    from referent.data.videos.sources import VIDEO_SOURCES

    for source in VIDEO_SOURCES.values():
        if source.title not in there:
            console.print(f"  {source.title}: {source.files}: get {source.url}")


def _verdict(split: VideoSplit) -> str:
    if split.edition is not None:
        return f"as published {split.edition.name}".rstrip()
    if not split.published:
        return "no published counts"
    counts = ", ".join(f"{edition.videos:,} videos {edition.name}".rstrip() for edition in split.published)
    return f"other than published ({counts})"
