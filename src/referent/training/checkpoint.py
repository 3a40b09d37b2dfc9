"""Checkpoints: written whole or not at all, the last few and the best kept, read without running code."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from referent.errors import TrainingError
from referent.files import atomic_path, atomic_write
from referent.training.recipe import Recipe

NAME = re.compile(r"step-(\d{8})\.pt")
FORMAT = 1
# Settings that may differ when a training is resumed: they change where and how fast, not what is learnt.
FREE = {
    *("accumulate", "workers", "validate_every", "save_every", "select", "presence_threshold", "log_every", "keep"),
    *("tensorboard", "output"),
}

_log = logging.getLogger("referent")


@dataclass(frozen=True)
class Progress:
    """What validations have found so far; kept beside the checkpoints, since a checkpoint is written before its
    validation.

    Attributes:
        validated: the last validated step, 0 before the first.
        best_step: step of the best score, 0 before the first.
        best: the best score, None before the first.
    """

    validated: int = 0
    best_step: int = 0
    best: float | None = None


class Checkpoints:
    """The checkpoints of one training.

    Args:
        folder: made when missing.
        keep: how many of the newest stay, beside the best.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def prepare(self) -> None:
        """Makes the folder and removes what a killed process left half written.

        Raises:
            TrainingError: the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(".*.partial"):
                left.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.folder}: cannot be used for checkpoints: {error}") from error

    def all(self) -> list[Path]:
        """Checkpoints from old to new, the best one's copy not among them."""
        found = self.folder.iterdir() if self.folder.is_dir() else iter(())
        return sorted(path for path in found if NAME.fullmatch(path.name))

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Writes `state` and removes checkpoints that are no longer kept.

        Args:
            step: steps done.
            state: tensors and plain containers only.

        Raises:
            TrainingError: the disk is full or cannot be written; earlier checkpoints stay as they were.
        """
        path = self.folder / f"step-{step:08d}.pt"
        try:
            with atomic_path(path) as temporary:
                torch.save({"format": FORMAT, **state}, temporary)
        # torch's writer reports a full disk as RuntimeError.
        except (OSError, RuntimeError) as error:
            raise TrainingError(self._failed(path, error)) from error
        for old in self.all()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def mark_best(self, path: Path) -> None:
        """Keeps `path` as `best.pt`, whatever happens to `path` itself."""
        try:
            with atomic_path(self.folder / "best.pt") as temporary:
                temporary.unlink()
                try:
                    os.link(path, temporary)
                except OSError:  # file systems without hard links
                    shutil.copyfile(path, temporary)
        except OSError as error:
            raise TrainingError(self._failed(self.folder / "best.pt", error)) from error

    def load(self, path: Path) -> dict[str, Any]:
        """What `save` wrote, on the CPU; no code in the file is run.

        Raises:
            TrainingError: not a checkpoint of ours, or damaged.
        """
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in as many ways as there are readers inside torch
            raise TrainingError(f"{path}: not a checkpoint, or damaged: {str(error).splitlines()[0]}") from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise TrainingError(f"{path}: expected a checkpoint of format {FORMAT}, found something else")
        return state

    def load_newest(self) -> tuple[Path, dict[str, Any]]:
        """The newest checkpoint that can be read: its path and what `save` wrote.

        Newer ones, which cannot, are renamed (`.damaged` behind their names): `save` would keep them as the newest.

        Raises:
            TrainingError: there is none, or a damaged one cannot be renamed.
        """
        damaged: dict[Path, str] = {}
        for path in reversed(self.all()):
            try:
                state = self._whole(path)
            except TrainingError as error:
                damaged[path] = str(error)
                continue
            for newer, problem in damaged.items():
                _log.warning("%s; set aside as %s, going on from %s", problem, self._set_aside(newer).name, path.name)
            return path, state
        told = f" ({'; '.join(damaged.values())})" if damaged else ""
        raise TrainingError(f"{self.folder}: no checkpoint to resume from{told}; leave out --resume to start anew")

    def read_progress(self) -> Progress:
        """What `write_progress` wrote, or the beginning."""
        path = self.folder / "progress.json"
        if not path.is_file():
            return Progress()
        try:
            return Progress(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise TrainingError(f"{path}: cannot be read: {error}; remove it to look for the best anew") from error

    def write_progress(self, progress: Progress) -> None:
        """Keeps `progress` for resuming."""
        path = self.folder / "progress.json"
        try:
            atomic_write(path, json.dumps(vars(progress)))
        except OSError as error:
            raise TrainingError(self._failed(path, error)) from error

    def _whole(self, path: Path) -> dict[str, Any]:
        if not zipfile.is_zipfile(path):
            raise TrainingError(f"{path}: damaged")
        return self.load(path)

    def _set_aside(self, path: Path) -> Path:
        """Renames a damaged checkpoint, never over an earlier one; its new path."""
        aside, count = path.with_name(f"{path.name}.damaged"), 1
        while aside.exists():
            count += 1
            aside = path.with_name(f"{path.name}.damaged-{count}")
        try:
            path.rename(aside)
        except OSError as error:
            raise TrainingError(f"{path}: damaged, and cannot be renamed: {error.strerror}; move it away") from error
        return aside

    def _failed(self, path: Path, error: Exception) -> str:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        standing = self.all()
        kept = f"{standing[-1]} stands, --resume goes on from it" if standing else "nothing was saved yet"
        return f"{path}: cannot be written ({reason}); {kept}"


def check_same(saved: Mapping[str, Any], now: Mapping[str, Any], path: Path) -> None:
    """That a checkpoint's recipe and the present one train the same thing.

    A setting that is younger than the checkpoint had its default then.

    Raises:
        TrainingError: names the settings that differ.
    """
    different = [
        f"{key} was {before!r}, is {after!r}"
        for key, before, after in _differences(_completed(saved), now, "")
        if key.split(".")[0] not in FREE and not key.startswith("data.val")
    ]
    if different:
        raise TrainingError(
            f"{path}: made with another recipe: {'; '.join(different[:4])}; use that recipe, or another `output`"
        )


def _completed(saved: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return Recipe.model_validate(saved).plain()
    except ValidationError:
        return saved


def _differences(left: Any, right: Any, key: str) -> list[tuple[str, Any, Any]]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = sorted({*left, *right})
        prefix = f"{key}." if key else ""
        return [item for name in names for item in _differences(left.get(name), right.get(name), f"{prefix}{name}")]
    return [] if left == right else [(key, left, right)]
