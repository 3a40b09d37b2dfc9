"""The spatial experiment as a picture: for every task a dot a model with its interval, and a line at chance."""

from __future__ import annotations

from pathlib import Path

from referent.data.scenes.pairs import TASKS
from referent.evaluation.plots import COLOURS, INK, MARKERS, drawn_to, tidy_rows
from referent.evaluation.spatial import SpatialResult

CHANCE = 50
INCHES_A_MODEL = 0.16
# Of the room of a task, for the dots of all models.
FILLED = 0.7


def draw_spatial(result: SpatialResult, path: Path) -> None:
    """The result as one of `plots.SUFFIXES`; the folder exists.

    Raises:
        DataError: see `plots.check_drawable`.
        OSError: the file cannot be written.
    """
    with drawn_to(path, (7.2, 1.5 + len(TASKS) * (0.3 + INCHES_A_MODEL * len(result.models)))) as figure:
        axis = figure.subplots()
        for index, (name, tasks) in enumerate(result.models.items()):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            shift = FILLED * ((index + 0.5) / len(result.models) - 0.5)
            heights = [row + shift for row in range(len(TASKS))]
            shares = [tasks[task].overall.right for task in TASKS]
            for height, share in zip(heights, shares, strict=True):
                if share.low is not None and share.high is not None:
                    axis.plot([100 * share.low, 100 * share.high], [height] * 2, color=colour, linewidth=1.6)
            values = [100 * (share.value or 0.0) for share in shares]
            axis.plot(values, heights, marker, color=colour, markersize=4.5, label=name, clip_on=False)
        axis.axvline(CHANCE, color=INK, linewidth=0.8)
        axis.set_yticks(range(len(TASKS)), TASKS)
        axis.set_ylim(len(TASKS) - 0.5, -0.5)
        axis.set_xlim(0, 100)
        tidy_rows(axis)
        axis.set_xlabel("% answered right with its 95 % interval; the line is chance")
        axis.set_title(f"What must be chosen, and what decides: {result.examples} scenes", loc="left", fontsize=10)
        figure.legend(loc="outside lower left", frameon=False, ncols=2)
