"""What all plots have in common: colours, kinds of files, and that the same numbers make the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from referent.errors import DataError
from referent.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
# Told apart by most colour-blind people, and in grey by their markers.
COLOURS = ("#1d6fb8", "#d1495b", "#2e8b57", "#8a5fbf", "#c77700")
MARKERS = "osD^v"
INK, FAINT = "#222222", "#d9d9d9"


def check_drawable(path: Path) -> None:
    """Better known before the work than after it.

    Raises:
        DataError: another kind of file than `SUFFIXES`, or matplotlib is missing.
    """
    from importlib.util import find_spec

    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: expected a name that ends in {', '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise DataError("drawing needs matplotlib: pip install 'referent[plot]'")


@contextmanager
def drawn_to(path: Path, inches: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure of (width, height), written when the block ends.

    Raises:
        DataError: see `check_drawable`.
        OSError: the file cannot be written.
    """
    check_drawable(path)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A fixed salt and no date: the same numbers make the same bytes.
    with rc_context({"svg.hashsalt": "referent", "font.size": 9, "text.parse_math": False}):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        kind = path.suffix.lower()
        metadata = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[kind]
        with atomic_path(path) as temporary:
            figure.savefig(temporary, format=kind[1:], dpi=160, metadata=metadata)


def tidy_rows(axis: Axes) -> None:
    """Frame and grid of a plot whose rows are named on the left."""
    axis.grid(axis="x", color=FAINT, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
