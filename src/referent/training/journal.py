"""What a training tells the world: a JSON-lines log, TensorBoard, and progress on the terminal."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from referent.errors import RecipeError, TrainingError

if TYPE_CHECKING:
    from PIL import Image

LOG = "log.jsonl"


class Journal:
    """Log and progress of one process; only the first process has one that speaks.

    One JSON object a line, each with `event`, `step` and `time` (seconds since 1970). A training that was killed and
    resumed may have two lines for one step: the later one counts.

    Args:
        folder: where `log.jsonl` and TensorBoard's files go.
        total: steps of the training.
        tensorboard: write TensorBoard's files too.
        speaks: False on all processes but the first: every method then does nothing.
        console: where progress goes; standard error when None.

    Raises:
        RecipeError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self, folder: Path, total: int, tensorboard: bool, speaks: bool = True, console: Console | None = None
    ) -> None:
        self.path, self.total, self.speaks = folder / LOG, total, speaks
        self.console = console or Console(stderr=True)
        self.writer = _tensorboard(folder) if tensorboard and speaks else None
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not (speaks and self.console.is_terminal),
        )
        self.task = self.progress.add_task("training", total=total, loss="")
        self.began = time.monotonic()
        self.first: int | None = None

    def __enter__(self) -> Journal:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        if self.writer is not None:
            self.writer.close()

    def say(self, text: str) -> None:
        """A line for the person at the terminal."""
        if self.speaks:
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def advance(self, step: int) -> None:
        """Moves the progress bar to `step` steps done."""
        if self.speaks:
            self.progress.update(self.task, completed=step)

    def write(self, event: str, step: int, **values: Any) -> None:
        """A line of the log; numbers in it go to TensorBoard too.

        Raises:
            TrainingError: the log cannot be written.
        """
        if not self.speaks:
            return
        line = json.dumps({"event": event, "step": step, "time": round(time.time(), 3), **_plain(values)})
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be written: {error.strerror}; --resume goes on") from error
        if self.writer is not None:
            for name, value in _flat(values, event):
                self.writer.add_scalar(name, value, step)

    def show_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        """Losses on the progress bar, or as a line where standard error is not a terminal.

        Args:
            step: steps done.
            losses: means since the last time, by name.
            rate: items a second.
        """
        if not self.speaks:
            return
        text = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        self.progress.update(self.task, completed=step, loss=text)
        if self.first is None:
            self.first, self.began = step, time.monotonic()
        if not self.console.is_terminal:
            done = step - self.first
            left = (time.monotonic() - self.began) / done * (self.total - step) if done else math.nan
            self.say(f"step {step}/{self.total}  {text}  {rate:.1f} items/s  {_duration(left)} left")

    def show_picture(self, step: int, name: str, picture: Image.Image) -> None:
        """A picture for TensorBoard."""
        if self.writer is not None:
            self.writer.add_image(name, np.asarray(picture), step, dataformats="HWC")


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RecipeError("tensorboard: not installed; pip install 'referent[track]', or tensorboard=false") from error
    return SummaryWriter(str(folder / "tensorboard"))


def _plain(value: Any) -> Any:
    """JSON has no word for infinity and not-a-number; null stands for them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _flat(values: Mapping[str, Any], above: str) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{above}/{key}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{above}/{key}", float(value)))
    return found


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
