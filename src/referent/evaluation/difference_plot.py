"""Differences between results as a picture: a dot with its interval for every group of phrases, and a line at zero."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from referent.evaluation.differences import Differences, Group, Part, usual_number
from referent.evaluation.metrics import Interval
from referent.evaluation.plots import COLOURS, INK, MARKERS, drawn_to, tidy_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES_A_ROW = 0.27


def draw_differences(differences: Differences, path: Path, number: str | None = None) -> None:
    """One panel a data set and split, under its first protocol; groups that the number is not defined for are left out.

    Args:
        differences: what to draw.
        path: a file of one of `plots.SUFFIXES`; its folder exists.
        number: which number's differences; None for the protocol's usual one.

    Raises:
        DataError: see `check_drawable`.
        OSError: the file cannot be written.
    """
    panels = [_Panel(part, number) for part in differences.parts]
    heights = [INCHES_A_ROW * len(panel.rows) + 1.3 for panel in panels]
    with drawn_to(path, (7.2, sum(heights))) as figure:
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)
        for axis, panel in zip(axes[:, 0], panels, strict=True):
            panel.draw(axis)


class _Panel:
    """One part, under its first protocol."""

    def __init__(self, part: Part, number: str | None) -> None:
        first = next(iter(part.protocols.values()))
        self.part, self.protocol = part, first.protocol
        self.number = number or usual_number(first.protocol)
        self.rows = [group for group in first.groups if self._differences(group)]
        self.places = _places(self.rows)

    def draw(self, axis: Axes) -> None:
        first, *others = self.part.names
        for index, name in enumerate(others):
            self._draw_result(axis, index, f"{name} minus {first}")
        axis.axvline(0, color=INK, linewidth=0.8)
        axis.set_yticks(self.places, [_label(group) for group in self.rows])
        axis.set_ylim(max(self.places, default=0) + 0.8, -0.8)
        tidy_rows(axis)
        axis.set_xlabel(f"{self.number}, difference in percentage points with its 95 % interval")
        protocol = f"protocol {self.protocol.name} v{self.protocol.version}"
        title = f"{self.part.dataset}, {self.part.split}: {self.part.phrases} phrases, {protocol}"
        axis.set_title(title, loc="left", fontsize=10)
        # Below the axis and its label, whatever the height: it would hide rows.
        axis.legend(loc="upper left", bbox_to_anchor=(0, 0), borderaxespad=4, frameon=False)

    def _draw_result(self, axis: Axes, index: int, label: str) -> None:
        colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
        # Several results stand side by side in the half of a row.
        shift = 0.5 * ((index + 0.5) / (len(self.part.names) - 1) - 0.5)
        values, heights = [], []
        for place, group in zip(self.places, self.rows, strict=True):
            one = self._differences(group)[index]
            if one.value is None:
                continue
            values.append(100 * one.value)
            heights.append(place + shift)
            if one.low is not None and one.high is not None:
                axis.plot([100 * one.low, 100 * one.high], [place + shift] * 2, color=colour, linewidth=1.6)
        axis.plot(values, heights, marker, color=colour, markersize=4.5, label=label)

    def _differences(self, group: Group) -> tuple[Interval, ...]:
        """Empty where the number is not defined for these phrases."""
        found = group.numbers[self.number].differences if self.number in group.numbers else ()
        return found if any(one.value is not None for one in found) else ()


def _places(rows: Sequence[Group]) -> list[float]:
    """From the top, with some room between the ways to tell phrases apart."""
    places: list[float] = []
    for before, group in zip([None, *rows], rows, strict=False):
        step = 0.0 if before is None else 1.0 if before.by == group.by else 1.5
        places.append((places[-1] if places else 0.0) + step)
    return places


def _label(group: Group) -> str:
    name = f"{group.by}: {group.name}" if group.by else group.name
    return f"{name}  ({group.phrases})"
