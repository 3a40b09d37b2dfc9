from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file
from torch import Tensor
from training_tiny import Run, Tiny, TinyConfig, evaluate, recipe

from referent import weights, zoo
from referent.errors import RecipeError, TrainingError
from referent.models.base import Batch, Output, SegmentationModel
from referent.training import auxiliary
from referent.training.loop import Outcome, train
from referent.training.recipe import Recipe
from referent.training.results import Results


def log(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def final(outcome: Outcome) -> dict[str, Tensor]:
    assert outcome.weights is not None
    return load_file(outcome.weights)


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def close(left: dict[str, Tensor], right: dict[str, Tensor], tolerance: float) -> bool:
    return all(torch.allclose(left[name], right[name], rtol=0, atol=tolerance) for name in left)


def test_training_lowers_the_loss_and_leaves_log_pictures_and_weights(run: Run, tmp_path: Path) -> None:
    outcome = run("out", steps=30, validate_every=15, save_every=15)
    losses = [line["losses"]["text_to_pixel"] for line in log(tmp_path / "out", "step")]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    validations = log(tmp_path / "out", "validation")
    assert [line["step"] for line in validations] == [15, 30]
    assert outcome.best == max(line["selected"] for line in validations)
    for step in (15, 30):
        with Image.open(tmp_path / "out" / "predictions" / f"step-{step:08d}.jpg") as picture:
            assert picture.width > picture.height > 0
    header, tensors = weights.read(outcome.weights)  # type: ignore[arg-type]
    assert (header.name, header.family, header.preparation["size"]) == ("tiny", "tiny", 32)
    model, _, _ = zoo.build(outcome.weights)  # type: ignore[arg-type]
    assert same(dict(model.state_dict()), tensors)


def test_the_same_recipe_gives_the_same_weights_whatever_the_workers(run: Run) -> None:
    changes = {"data__augment": {}, "model__config": {"dropout": 0.2}, "data__val": []}
    assert same(final(run("a", workers=0, **changes)), final(run("b", workers=2, **changes)))


def test_validation_and_checkpoints_change_nothing(run: Run) -> None:
    changes = {"model__config": {"dropout": 0.2}}
    often = run("a", validate_every=1, save_every=1, **changes)
    assert same(final(often), final(run("b", validate_every=6, save_every=6, data__val=[], **changes)))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_an_error_in_the_middle_and_a_resume_give_the_weights_of_an_uninterrupted_run(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    changes = {"ema": ema, "model__config": {"dropout": 0.2, "batch_norm": True}, "optimiser__clip": 0.1}
    whole = run("whole", **changes)
    losses, calls = Tiny.losses, iter(range(100))

    def failing(self: Tiny, batch: Batch, output: Output) -> dict[str, Tensor]:
        if next(calls) == 4:
            raise MemoryError
        return losses(self, batch, output)

    monkeypatch.setattr(Tiny, "losses", failing)
    with pytest.raises(MemoryError):
        run("torn", save_every=2, **changes)
    resumed = run("torn", resume=True, workers=1, **changes)
    assert log(tmp_path / "torn", "resume")[0]["step"] == 4
    assert same(final(whole), final(resumed))
    assert whole.best == resumed.best


def test_resuming_a_finished_training_does_nothing_more(run: Run) -> None:
    first = final(run("out"))
    again = run("out", resume=True)
    assert again.step == 6
    assert same(first, final(again))


def test_a_resume_past_a_damaged_checkpoint_validates_and_keeps_the_good_ones(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = final(run("whole"))
    run("out", save_every=2, keep=2, data__val=[])
    (tmp_path / "out" / "step-00000006.pt").write_bytes(b"")
    judge, judged = Results.judge, []

    def watched(self: Results, model: SegmentationModel, step: int, checkpoint: Path) -> None:
        judged.append((step, checkpoint.name, checkpoint.is_file()))
        judge(self, model, step, checkpoint)

    monkeypatch.setattr(Results, "judge", watched)
    resumed = run("out", resume=True, validate_every=1, keep=1)
    assert judged == [(step, f"step-{step:08d}.pt", True) for step in (4, 5, 6)]
    assert log(tmp_path / "out", "resume")[0]["checkpoint"].endswith("step-00000004.pt")
    assert same(final(resumed), whole)


def test_an_average_is_exported_only_where_the_recipe_asks(run: Run) -> None:
    plain = run("plain")
    averaged = run("averaged", ema=0.9)
    states = [torch.load(outcome.checkpoint, weights_only=True)["objective"] for outcome in (plain, averaged)]  # type: ignore[arg-type]
    assert same(states[0], states[1])
    moved = {name.removeprefix("model."): value for name, value in states[0].items()}
    assert same(final(plain), moved)
    assert not same(final(averaged), moved)


def test_the_average_is_the_published_formula(run: Run, tmp_path: Path) -> None:
    outcome = run("out", ema=0.5, keep=6)
    trail = [
        torch.load(path, weights_only=True)["objective"]["model.head.weight"]
        for path in sorted(tmp_path.glob("out/step-*"))
    ]
    expected = trail[0]
    for count, current in enumerate(trail[1:], start=1):
        decay = min(0.5, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * current
    assert torch.allclose(final(outcome)["head.weight"], expected, atol=1e-6)


def test_accumulated_passes_equal_one_large_one(run: Run) -> None:
    # Sums in another order: float32 rounding, carried through Adam for six steps.
    assert close(final(run("one")), final(run("four", accumulate=4)), 1e-6)


def test_bf16_trains_close_to_fp32_and_keeps_float32_weights(run: Run, tmp_path: Path) -> None:
    half, full = final(run("half", precision="bf16")), final(run("full"))
    assert {value.dtype for value in half.values()} == {torch.float32}
    assert not same(half, full)
    losses = [[line["losses"]["total"] for line in log(tmp_path / name, "step")] for name in ("half", "full")]
    assert np.allclose(*losses, rtol=0.02)


def test_a_loss_that_is_not_finite_stops_with_the_ids_of_the_batch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, seen = Tiny.losses, []

    def poisoned(self: Tiny, batch: Batch, output: Output) -> dict[str, Tensor]:
        seen.append(batch.ids)
        found = losses(self, batch, output)
        return {name: value * (torch.nan if len(seen) == 5 else 1) for name, value in found.items()}

    monkeypatch.setattr(Tiny, "losses", poisoned)
    with pytest.raises(TrainingError) as error:
        run("out")
    assert "step 5" in str(error.value)
    assert all(name in str(error.value) for name in seen[-1])
    assert log(tmp_path / "out", "not finite")[0]["ids"] == list(seen[-1])
    newest = torch.load(tmp_path / "out" / "step-00000004.pt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in newest["objective"].values())


def test_frozen_parameters_stay_and_the_rest_moves(run: Run) -> None:
    torch.manual_seed(0)
    before = dict(Tiny(TinyConfig()).state_dict())
    after = final(run("out", optimiser__frozen=["^backbone"], optimiser__weight_decay=0.1))
    assert {name for name in before if torch.equal(before[name], after[name])} == {
        "backbone.weight",
        "backbone.bias",
        "unused",
    }


class Towards:
    """Pulls the embedding towards a value that it draws; holds a parameter of its own."""

    def __new__(cls, value: float) -> Any:
        return _Towards(value)


class _Towards(torch.nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.offset = torch.nn.Parameter(torch.zeros(1))
        self.drawn: list[float] = []

    def losses(self, model: SegmentationModel, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        noise = torch.rand(1, generator=generator)
        DRAWN.append((step, noise.item()))
        assert isinstance(model, Tiny)
        return {"towards": (model.words.weight - self.value - self.offset + 0.01 * noise).square().mean()}


DRAWN: list[tuple[int, float]] = []


def test_auxiliary_objectives_are_trained_saved_and_draw_the_same_after_a_resume(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(auxiliary.OBJECTIVES, "towards", Towards)
    changes = {"auxiliary": [{"kind": "towards", "value": 3.0}], "loss": {"text_to_pixel": 1.0, "towards": 0.5}}
    DRAWN.clear()
    outcome = run("out", **changes)
    drawn = list(DRAWN)
    assert [step for step, _ in drawn] == list(range(6))
    assert len({noise for _, noise in drawn}) == 6
    saved = torch.load(outcome.checkpoint, weights_only=True)["objective"]  # type: ignore[arg-type]
    assert saved["modules_of_auxiliaries.0.offset"].abs() > 0
    assert final(outcome).keys() == Tiny(TinyConfig()).state_dict().keys()
    DRAWN.clear()
    run("again", **changes)
    assert drawn == DRAWN


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"loss": {"text_to_pixl": 1.0}}, "nothing computes text_to_pixl; there are: text_to_pixel"),
        ({"model__family": "crys"}, "expected one of tiny, found 'crys'"),
        ({"model__preset": "huge"}, "no preset 'huge'"),
        ({"model__config": {"widht": 3}}, r"model\.config\.widht: unknown key; there are: width"),
        ({"preparation": {"size": 0}}, r"preparation\.size: .* found 0"),
        ({"data__augment": {"flop": 1}}, r"data\.augment\.flop: unknown key"),
        ({"auxiliary": [{"kind": "magic"}]}, "unknown kind 'magic'"),
        ({"batch": 6, "accumulate": 4}, "expected a multiple of 4"),
        ({"batch": 100}, "at most the 9 items"),
        ({"batch": 1, "data__phrases": 1, "model__config": {"sentence_norm": True}}, "at least 2 references"),
        ({"select": "beauty"}, r"no score 'beauty'; there are: mIoU"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(run: Run, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(RecipeError, match=expected):
        run("out", **changes)


def test_one_reference_at_a_time_can_train_batch_norms_of_maps(run: Run) -> None:
    assert run("out", batch=1, data__phrases=1, model__config={"batch_norm": True}, steps=1).step == 1


def test_a_preset_with_settings_laid_over_it(run: Run) -> None:
    assert final(run("out", model__preset="wide", steps=1))["head.weight"].shape[0] == 12
    assert final(run("two", model__preset="wide", model__config={"width": 4}, steps=1))["head.weight"].shape[0] == 4


def test_an_output_in_use_is_not_overwritten_and_another_recipe_not_resumed(run: Run) -> None:
    run("out", steps=2)
    with pytest.raises(TrainingError, match="--resume goes on with it"):
        run("out", steps=2)
    with pytest.raises(TrainingError, match=r"optimiser\.lr was 0\.01, is 0\.5"):
        run("out", steps=2, resume=True, optimiser__lr=0.5)


def test_a_training_that_starts_from_earlier_weights_starts_there(run: Run) -> None:
    first = run("first")
    second = run("second", start={"weights": str(first.weights)}, steps=1, optimiser__lr=1e-12)
    assert close(final(first), final(second), 1e-9)


def test_a_validation_set_without_a_way_to_score_it_is_refused(family: None, data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nothing to evaluate it with"):
        train(Recipe.model_validate(recipe(data, tmp_path / "out")))


def test_what_would_be_trained_can_be_read_beforehand(family: None, data: Path, tmp_path: Path) -> None:
    from referent.training.plan import make_plan

    changes: dict[str, Any] = {
        "optimiser__frozen": ["^words"],
        "optimiser__groups": [{"match": "^backbone", "lr_scale": 0.1}],
    }
    told = make_plan(Recipe.model_validate(recipe(data, tmp_path / "out", **changes))).describe()
    assert "4,907 parameters, 811 trained, 4,096 frozen" in told
    assert "^backbone: 2 tensors, 224 parameters, rate 0.001" in told
    assert "54 phrases, 9 pictures, weight 1" in told
    assert not (tmp_path / "out").exists()


def test_the_log_goes_to_tensorboard_too_where_asked(run: Run, tmp_path: Path) -> None:
    run("out", tensorboard=True)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("step/losses/text_to_pixel")] == list(range(1, 7))
    assert "predictions" in events.Tags()["images"]


def test_a_terminal_gets_a_bar_with_loss_and_time_left(family: None, data: Path, tmp_path: Path) -> None:
    from io import StringIO

    terminal = Console(file=StringIO(), force_terminal=True, width=150)
    train(Recipe.model_validate(recipe(data, tmp_path / "out")), evaluate=evaluate, console=terminal)
    shown = terminal.file.getvalue()  # type: ignore[attr-defined]
    assert "6/6" in shown
    assert "text_to_pixel" in shown


def test_a_gradient_that_is_not_finite_stops_before_the_weights_move(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, calls = Tiny.losses, iter(range(1, 100))

    def steep(self: Tiny, batch: Batch, output: Output) -> dict[str, Tensor]:
        found = losses(self, batch, output)
        # Finite, with the infinite slope of a square root at 0.
        steps = (output.logits * 0).sum().sqrt() if next(calls) == 3 else 0.0
        return {name: value + steps for name, value in found.items()}

    monkeypatch.setattr(Tiny, "losses", steep)
    with pytest.raises(TrainingError, match=r"step 3: the gradient is not finite"):
        run("out")
    newest = torch.load(tmp_path / "out" / "step-00000002.pt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in newest["objective"].values())


def test_a_disk_that_fills_up_stops_the_training_and_more_room_lets_it_go_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, full = torch.save, [False]

    def filling(state: dict[str, Any], path: Path) -> None:
        if state["step"] == 4 and full[0]:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", filling)
    whole = run("whole")
    full[0] = True
    with pytest.raises(TrainingError, match=r"No space left on device.*step-00000003\.pt stands, --resume goes on"):
        run("out")
    assert not list((tmp_path / "out").glob("step-00000004*"))
    full[0] = False
    assert same(final(run("out", resume=True)), final(whole))
