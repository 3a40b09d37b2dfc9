from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from full_disk import files_of_at_most
from training_tiny import recipe

from referent.errors import TrainingError
from referent.training.checkpoint import Checkpoints, Progress, check_same
from referent.training.recipe import Recipe


def test_the_last_few_stay_and_the_best_beside_them(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in range(1, 6):
        path = checkpoints.save(step, {"step": step})
        if step == 2:
            checkpoints.mark_best(path)
    assert [path.name for path in checkpoints.all()] == ["step-00000004.pt", "step-00000005.pt"]
    assert checkpoints.load(tmp_path / "best.pt")["step"] == 2
    assert checkpoints.load_newest()[1]["step"] == 5


def test_a_full_disk_keeps_the_earlier_checkpoint_and_says_so(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, {"weights": torch.zeros(10)})
    with (
        files_of_at_most(64_000),
        pytest.raises(TrainingError, match=r"step-00000002.*step-00000001\.pt stands, --resume"),
    ):
        checkpoints.save(2, {"weights": torch.zeros(100_000)})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert checkpoints.load_newest()[1]["weights"].shape == (10,)


def test_a_full_disk_at_the_first_checkpoint_says_that_nothing_was_saved(tmp_path: Path) -> None:
    with files_of_at_most(1000), pytest.raises(TrainingError, match="nothing was saved yet"):
        Checkpoints(tmp_path, keep=1).save(1, {"weights": torch.zeros(100_000)})
    assert not list(tmp_path.iterdir())


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def test_damaged_newest_checkpoints_give_way_to_the_one_before_and_are_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    (tmp_path / "step-00000003.pt").write_bytes(b"")
    damage(tmp_path / "step-00000002.pt")
    path, state = checkpoints.load_newest()
    assert (path, state["step"]) == (tmp_path / "step-00000001.pt", 1)
    assert checkpoints.all() == [path]
    for name in ("step-00000002.pt", "step-00000003.pt"):
        assert (tmp_path / f"{name}.damaged").is_file()
        assert f"{name}: damaged; set aside as {name}.damaged, going on from step-00000001.pt" in caplog.text


def test_saves_after_a_damaged_checkpoint_keep_the_good_ones(tmp_path: Path) -> None:
    both, checkpoints = Checkpoints(tmp_path, keep=2), Checkpoints(tmp_path, keep=1)
    both.save(1000, {"step": 1000})
    for _ in range(2):
        damage(both.save(2000, {"step": 2000}))
        checkpoints.load_newest()
        checkpoints.mark_best(checkpoints.save(1500, {"step": 1500}))
    names = sorted(path.name for path in tmp_path.glob("step-*"))
    assert names == ["step-00001500.pt", "step-00002000.pt.damaged", "step-00002000.pt.damaged-2"]


def test_checkpoints_that_are_all_damaged_stay_where_they_are(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    path = checkpoints.save(1, {"step": 1})
    damage(path)
    with pytest.raises(TrainingError, match=r"no checkpoint to resume from \(.*step-00000001\.pt: damaged\)"):
        checkpoints.load_newest()
    assert checkpoints.all() == [path]


def test_nothing_to_resume_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="leave out --resume"):
        Checkpoints(tmp_path / "nowhere", keep=1).load_newest()


class Mischief:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("mischief"),)


def test_code_in_a_checkpoint_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"format": 1, "step": Mischief()}, "step-00000001.pt")
    Path("step-00000002.pt").write_bytes(pickle.dumps(Mischief()))
    for name in ("step-00000001.pt", "step-00000002.pt"):
        with pytest.raises(TrainingError, match="not a checkpoint"):
            Checkpoints(tmp_path, keep=1).load(tmp_path / name)
    assert not Path("mischief").exists()


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001.pt.abc.partial").write_text("half")
    Checkpoints(tmp_path, keep=1).prepare()
    assert not list(tmp_path.iterdir())


def test_progress_comes_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    assert checkpoints.read_progress() == Progress()
    checkpoints.write_progress(Progress(5, 3, 0.25))
    assert checkpoints.read_progress() == Progress(5, 3, 0.25)


def test_another_recipe_is_named_by_what_differs_and_free_settings_may_differ() -> None:
    data = {"val": [], "train": [{"weight": 1}]}
    saved = {"batch": 4, "workers": 1, "optimiser": {"lr": 0.1, "clip": 0}, "data": data}
    check_same(saved, {**saved, "workers": 8, "data": {**data, "val": [1]}}, Path("out"))
    with pytest.raises(TrainingError, match=r"out: .*optimiser\.lr was 0\.1, is 0\.2"):
        check_same(saved, {**saved, "optimiser": {"lr": 0.2, "clip": 0}}, Path("out"))


def test_a_setting_that_is_younger_than_a_checkpoint_had_its_default(data: Path, tmp_path: Path) -> None:
    now = Recipe.model_validate(recipe(data, tmp_path)).plain()
    before = json.loads(json.dumps(now))
    del before["data"]["present"], before["data"]["train"][0]["class_names"]
    check_same(before, now, tmp_path)
    with pytest.raises(TrainingError, match=r"data\.present"):
        check_same(before, {**now, "data": {**now["data"], "present": 1}}, tmp_path)
