"""What a training leaves in its output folder beside checkpoints and log: scores, pictures, weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from referent import adapters, weights, zoo
from referent.errors import TrainingError
from referent.files import atomic_path
from referent.models.base import SegmentationModel
from referent.training.checkpoint import Checkpoints, Progress
from referent.training.journal import Journal
from referent.training.plan import Plan
from referent.training.start import bases
from referent.training.validation import Evaluate, Verdict, validate

if TYPE_CHECKING:
    from PIL import Image

FINAL, BEST = "final.safetensors", "best.safetensors"
PICTURES = "predictions"


class Results:
    """Validations and exports of one training; used by its first process alone.

    Args:
        plan: the training.
        checkpoints: where the best is kept.
        journal: told of every validation.
        evaluate: scores a data set, or None where the plan has nothing to validate on.
        device: where to validate.
    """

    def __init__(
        self, plan: Plan, checkpoints: Checkpoints, journal: Journal, evaluate: Evaluate | None, device: torch.device
    ) -> None:
        self.plan, self.recipe = plan, plan.recipe
        self.checkpoints, self.journal, self.evaluate, self.device = checkpoints, journal, evaluate, device
        self.progress = Progress()

    def restore(self) -> None:
        """Goes on from what earlier processes found."""
        self.progress = self.checkpoints.read_progress()

    def judge(self, model: SegmentationModel, step: int, checkpoint: Path) -> None:
        """Validates, shows, and keeps `checkpoint` and the weights where they are the best so far.

        Raises:
            TrainingError: the disk is full.
        """
        if self.evaluate is None or not self.plan.validation:
            return
        began = time.monotonic()
        verdict = validate(
            model,
            self.plan.preparation,
            self.recipe.model.name,
            self.device,
            self.plan.validation,
            self.evaluate,
            self.recipe.select,
            self.recipe.presence_threshold,
        )
        if self.progress.best is None or verdict.selected > self.progress.best:
            self.checkpoints.mark_best(checkpoint)
            self.export(model, BEST, step)
            self.progress = Progress(step, step, verdict.selected)
        else:
            self.progress = Progress(step, self.progress.best_step, self.progress.best)
        self.checkpoints.write_progress(self.progress)
        self._tell(verdict, step, time.monotonic() - began)

    def export(self, model: SegmentationModel, name: str, step: int) -> Path:
        """The weights as a file that `referent.load` takes.

        Raises:
            WeightsError: the file that an adapter belongs to has changed.
            TrainingError: the disk is full; an earlier file of that name is untouched.
        """
        path = self.recipe.output / name
        extra = {
            "presence_threshold": self.recipe.presence_threshold,
            "training": {"step": step, "recipe": self.recipe.plain()},
        }
        header = zoo.header(model, self.plan.preparation, self.recipe.model.name, extra)
        try:
            if self.recipe.model.adapter:
                adapters.write(path, model.state_dict(), header, bases(self.recipe.start))
            else:
                weights.write(path, model.state_dict(), header)
        except OSError as error:
            raise _unwritable(path, error) from error
        return path

    def _tell(self, verdict: Verdict, step: int, seconds: float) -> None:
        path = self.recipe.output / PICTURES / f"step-{step:08d}.jpg"
        _save_picture(verdict.picture, path)
        self.journal.show_picture(step, PICTURES, verdict.picture)
        best = {"best": self.progress.best, "best_step": self.progress.best_step}
        self.journal.write(
            "validation", step, scores=verdict.scores, selected=verdict.selected, seconds=round(seconds, 2), **best
        )
        self.journal.say(
            f"step {step}: {self.recipe.select} {verdict.selected:.4f} "
            f"(best {self.progress.best:.4f} at step {self.progress.best_step}); {path}"
        )


def _save_picture(picture: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            picture.save(temporary, format="JPEG", quality=88)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"{path}: cannot be written ({error.strerror or error}); --resume goes on from the checkpoint")
