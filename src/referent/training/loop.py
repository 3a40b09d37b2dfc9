"""The training loop: steps, logs, validations, checkpoints, and an end that can always be resumed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from rich.console import Console
from torch import Tensor, nn
from torch.optim import Optimizer

from referent.engine import warn_of_emulated_bf16
from referent.errors import RecipeError, TrainingError
from referent.models.base import Batch, SegmentationModel
from referent.training.averaging import averaged
from referent.training.checkpoint import Checkpoints, check_same
from referent.training.interrupt import Interrupts
from referent.training.journal import Journal
from referent.training.loading import Batches, loader
from referent.training.objective import TOTAL, Objective
from referent.training.optimiser import build_optimiser, clip_gradients, training_mode
from referent.training.plan import Plan, make_plan
from referent.training.randomness import random_state, restore_random_state, seed_process
from referent.training.recipe import Recipe
from referent.training.results import FINAL, Results
from referent.training.schedule import learning_rate
from referent.training.validation import Evaluate

# Other processes wait while the first one validates.
PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        step: steps done.
        total: steps of the recipe.
        weights: the exported weights, or None where the training was interrupted.
        checkpoint: the newest checkpoint.
        best: the best selected score, None without a validation.
        interrupted: by Ctrl-C or a request to end; resuming goes on from `checkpoint`.
    """

    step: int
    total: int
    weights: Path | None
    checkpoint: Path | None
    best: float | None
    interrupted: bool


def train(
    recipe: Recipe, *, resume: bool = False, evaluate: Evaluate | None = None, console: Console | None = None
) -> Outcome:
    """Trains as the recipe says. Under `torchrun`, every process calls this.

    Args:
        recipe: what to train.
        resume: go on from the newest checkpoint in `recipe.output`.
        evaluate: scores a segmenter on a data set; needed where the recipe has validation data.
        console: where progress goes; standard error when None.

    Raises:
        RecipeError, DataError, WeightsError: before the first step.
        TrainingError: a loss that is not a number, a disk that is full, a checkpoint of another recipe, or an output
            folder that is in use.
    """
    if recipe.data.val and evaluate is None:
        raise RecipeError("data.val: there is validation data, and nothing to evaluate it with")
    accelerator = Accelerator(
        # Without an accelerator, accelerate takes the processes of `torchrun` for strangers unless told so.
        cpu=not torch.accelerator.is_available(),
        kwargs_handlers=[
            # A model may hold parameters that no loss reaches (CLIP's logit_scale).
            DistributedDataParallelKwargs(find_unused_parameters=True),
            InitProcessGroupKwargs(timeout=PATIENCE),
        ],
    )
    checkpoints = Checkpoints(recipe.output, recipe.keep)
    if accelerator.is_main_process:
        checkpoints.prepare()
    accelerator.wait_for_everyone()
    if checkpoints.all() and not resume:
        raise TrainingError(
            f"{recipe.output}: holds checkpoints of an earlier training; --resume goes on with it, "
            "or choose another `output`"
        )
    # The first process sets damaged files aside before the others look.
    with accelerator.main_process_first():
        found = checkpoints.load_newest() if resume else None
    if found is not None:
        check_same(found[1]["recipe"], recipe.plain(), recipe.output)
    plan = make_plan(recipe, start=found is None)
    with Interrupts() as interrupts:
        journal = Journal(recipe.output, plan.total, recipe.tensorboard, accelerator.is_main_process, console)
        with journal:
            outcome = _Training(plan, accelerator, checkpoints, journal, interrupts, evaluate).run(found)
    accelerator.end_training()
    return outcome


class _Training:
    """One process's part of one training."""

    def __init__(
        self,
        plan: Plan,
        accelerator: Accelerator,
        checkpoints: Checkpoints,
        journal: Journal,
        interrupts: Interrupts,
        evaluate: Evaluate | None,
    ) -> None:
        self.plan, self.recipe, self.accelerator = plan, plan.recipe, accelerator
        self.checkpoints, self.journal, self.interrupts = checkpoints, journal, interrupts
        self.results = Results(plan, checkpoints, journal, evaluate, accelerator.device)
        self.processes, self.process = accelerator.num_processes, accelerator.process_index
        recipe = self.recipe
        self.parts = self.processes * recipe.accumulate
        if recipe.batch % self.parts:
            raise RecipeError(
                f"batch: expected a multiple of {self.parts} ({self.processes} processes x accumulate "
                f"{recipe.accumulate}), found {recipe.batch}"
            )
        self._check_batch_normalisation()
        if recipe.precision == "bf16":
            warn_of_emulated_bf16(accelerator.device)
        self.model = plan.model
        objective = Objective(self.model, plan.auxiliaries, recipe.loss, recipe.precision == "bf16", recipe.seed)
        if recipe.channels_last:
            objective = objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.sync_batchnorm and self.processes > 1:
            if accelerator.device.type != "cuda":
                raise RecipeError("sync_batchnorm: works between GPUs only; set sync_batchnorm=false")
            objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
        objective.to(accelerator.device)
        self.ema = averaged(self.model, recipe.ema) if recipe.ema else None
        self.inner = objective
        self.optimiser: Optimizer = build_optimiser(plan.groups(), recipe.optimiser)
        self.objective: nn.Module = accelerator.prepare_model(objective)
        self.newest: Path | None = None
        self.ids: tuple[str, ...] = ()
        self.bad_ids: tuple[str, ...] = ()
        self.norm = 0.0
        self.sums: dict[str, Tensor] = {}
        self.summed = 0
        self.since = (time.monotonic(), 0)

    def run(self, found: tuple[Path, dict[str, Any]] | None) -> Outcome:
        """All steps that are left after the checkpoint that was found."""
        recipe, total = self.recipe, self.plan.total
        seed_process(recipe.seed, self.process)
        done = 0 if found is None else self._restore(*found)
        self.journal.write(
            "start" if found is None else "resume",
            done,
            checkpoint=None if found is None else str(found[0]),
            recipe=recipe.plain(),
            processes=self.processes,
            device=str(self.accelerator.device),
            steps_per_epoch=self.plan.order.steps_per_epoch,
            total=total,
        )
        self.journal.say(f"training {recipe.model.name}: steps {done} to {total}, on {self.accelerator.device}")
        training_mode(self.inner)
        batches = self._batches(done)
        self.since = (time.monotonic(), done)
        if found is not None and self._due(done, self.plan.validate_every) and self.results.progress.validated < done:
            # Killed between a checkpoint and its validation.
            self._validate(done)
        while done < total:
            self._differentiate(done, batches)
            stop = self._agree(done)
            self._move()
            done += 1
            if done % recipe.log_every == 0 or done == total:
                self._report(done)
            self.journal.advance(done)
            validates = self._due(done, self.plan.validate_every) and bool(self.plan.validation)
            if stop or validates or self._due(done, self.plan.save_every):
                self._save(done)
            if stop and done < total:
                return self._outcome(done, interrupted=True)
            if validates:
                try:
                    with self.interrupts.at_once():
                        self._validate(done)
                except KeyboardInterrupt:
                    return self._outcome(done, interrupted=True)
        exported = recipe.output / FINAL
        if self.accelerator.is_main_process:
            self.results.export(self._averaged(), FINAL, done)
        self.accelerator.wait_for_everyone()
        self.journal.write("end", done, best=self.results.progress.best, best_step=self.results.progress.best_step)
        return self._outcome(done, weights=exported)

    def _differentiate(self, step: int, batches: Iterator[Batch]) -> None:
        """Rates and gradients of the step that `step` others precede."""
        recipe = self.recipe
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(
                recipe, step, self.plan.order.steps_per_epoch, self.plan.total, group["lr_scale"]
            )
        self.ids = ()
        for index in range(recipe.accumulate):
            batch = next(batches).to(self.accelerator.device)
            if recipe.channels_last:
                batch = _channels_last(batch)
            last = index == recipe.accumulate - 1
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.objective):
                losses = self.objective(batch, step, self.process * recipe.accumulate + index)
                (losses[TOTAL] / recipe.accumulate).backward()
            self.ids += batch.ids
            if not torch.isfinite(losses[TOTAL]):
                self.bad_ids += batch.ids
            for name, value in losses.items():
                self.sums[name] = self.sums.get(name, torch.zeros((), device=value.device)) + value.detach().float()
            self.summed += 1

    def _agree(self, step: int) -> bool:
        """Whether to stop after this step, agreed between all processes.

        Raises:
            TrainingError: the loss of some process, or the gradient, is not finite; the optimiser has not moved yet.
        """
        self.norm = clip_gradients(self.inner, self.recipe.optimiser.clip)
        flags = [bool(self.bad_ids), not math.isfinite(self.norm), self.interrupts.asked]
        if self.processes > 1:
            told = torch.tensor(flags, dtype=torch.float32, device=self.accelerator.device)
            flags = [count > 0 for count in self.accelerator.reduce(told, reduction="sum").tolist()]
        bad_loss, bad_gradient, stop = flags
        if bad_loss or bad_gradient:
            # A loss points at its batch; a gradient, which is a mean, only at all of them.
            ids = [name for part in self._gather(self.bad_ids if bad_loss else self.ids) for name in part]
            self.journal.write("not finite", step + 1, ids=ids)
            raise TrainingError(
                f"step {step + 1}: the {'loss' if bad_loss else 'gradient'} is not finite (NaN or infinite); "
                f"the batch's samples: {', '.join(ids)}; the newest checkpoint in {self.recipe.output} is of before"
            )
        return stop

    def _move(self) -> None:
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema is not None:
            self.ema.update_parameters(self.model)

    def _gather(self, value: Any) -> list[Any]:
        """The value of every process, in order."""
        values: list[Any] = [value]
        if self.processes > 1:
            values *= self.processes
            torch.distributed.all_gather_object(values, value)
        return values

    def _report(self, done: int) -> None:
        """Means since the last report, over all processes."""
        names = list(self.sums)
        sums = self.accelerator.reduce(torch.stack([self.sums[name] for name in names]), reduction="mean").tolist()
        now = time.monotonic()
        losses = {name: value / self.summed for name, value in zip(names, sums, strict=True)}
        (before, first), self.since, self.sums, self.summed = self.since, (now, done), {}, 0
        rate = (done - first) * self.recipe.batch / max(now - before, 1e-9)
        self.journal.write(
            "step",
            done,
            epoch=(done - 1) // self.plan.order.steps_per_epoch,
            losses=losses,
            gradient_norm=self.norm,
            lr=max(group["lr"] for group in self.optimiser.param_groups),
            items_per_second=round(rate, 3),
        )
        self.journal.show_step(done, losses, rate)

    def _save(self, done: int) -> None:
        """A checkpoint, written by the first process."""
        states = self._gather(random_state())
        if self.accelerator.is_main_process:
            began = time.monotonic()
            self.newest = self.checkpoints.save(
                done,
                {
                    "step": done,
                    "recipe": self.recipe.plain(),
                    "objective": self.inner.state_dict(),
                    "ema": None if self.ema is None else self.ema.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                    "random": states,
                },
            )
            self.journal.write("checkpoint", done, path=str(self.newest), seconds=round(time.monotonic() - began, 3))
        self.accelerator.wait_for_everyone()

    def _restore(self, path: Path, saved: dict[str, Any]) -> int:
        """Everything a checkpoint holds; the number of steps it had done."""
        self.inner.load_state_dict(saved["objective"])
        self.optimiser.load_state_dict(saved["optimiser"])
        if self.ema is not None:
            self.ema.load_state_dict(saved["ema"])
        if self.process < len(saved["random"]):
            restore_random_state(saved["random"][self.process])
        self.results.restore()
        self.newest = path
        step: int = saved["step"]
        return step

    def _validate(self, done: int) -> None:
        """The first process works, the others wait."""
        if self.accelerator.is_main_process and self.newest is not None:
            self.results.judge(self._averaged(), done, self.newest)
        self.accelerator.wait_for_everyone()
        self.since = (time.monotonic(), done)

    def _averaged(self) -> SegmentationModel:
        """What is validated and exported."""
        model: Any = self.model if self.ema is None else self.ema.module
        assert isinstance(model, SegmentationModel)
        return model

    def _batches(self, done: int) -> Iterator[Batch]:
        plan, recipe = self.plan, self.recipe
        trimmed, boxed = not plan.model.reads_padding, plan.model.gives_boxes
        batches = Batches(plan.items, plan.order, plan.preparation, plan.visits, self.parts, trimmed, boxed)
        mine = range(self.process * recipe.accumulate, (self.process + 1) * recipe.accumulate)
        return loader(batches, done, plan.total, mine, recipe.workers)

    def _check_batch_normalisation(self) -> None:
        references = self.recipe.batch * self.recipe.data.phrases // self.parts
        # Of vectors, that is; a map's many pixels have a variance also in a batch of one.
        batch_norms = [item for item in self.plan.model.modules() if isinstance(item, nn.BatchNorm1d)]
        if references < 2 and batch_norms and not (self.recipe.sync_batchnorm and self.processes > 1):
            raise RecipeError(
                "batch: the model normalises vectors over a batch, which needs at least 2 references in a pass, found "
                f"{references} (batch {self.recipe.batch} x phrases {self.recipe.data.phrases} over {self.parts} parts)"
            )

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.plan.total

    def _outcome(self, done: int, weights: Path | None = None, interrupted: bool = False) -> Outcome:
        if interrupted:
            self.journal.write("interrupted", done)
        return Outcome(done, self.plan.total, weights, self.newest, self.results.progress.best, interrupted)


def _channels_last(batch: Batch) -> Batch:
    return replace(batch, image=batch.image.contiguous(memory_format=torch.channels_last))
