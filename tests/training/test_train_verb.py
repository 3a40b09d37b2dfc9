"""`referent train` as users call it, with a tiny CRIS."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from training_processes import ENVIRONMENT, finish, wait_for_step
from training_tiny import TINY_CRIS, recipe
from typer.testing import CliRunner

import referent
from referent.cli.main import app
from referent.errors import RecipeError


@pytest.fixture
def file(data: Path, tmp_path: Path) -> Path:
    content = recipe(
        data,
        tmp_path / "out",
        model={"family": "cris", "name": "tiny-cris", "config": TINY_CRIS},
        preparation={"size": 64, "context_length": 12},
        loss={"text_to_pixel": 1.0, "dice": 1.0, "presence": 0.1},
        steps=2,
        validate_every=2,
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_dry_run_prints_what_would_be_trained_and_stops(file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(file), "--dry-run", "optimiser.frozen=['^text_encoder']"])
    assert result.exit_code == 0, result.output
    assert "model      cris:" in result.output
    assert "54 phrases, 9 pictures" in result.output
    assert not (tmp_path / "out").exists()


def test_a_trained_cris_segments(file: Path, data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(file), "precision=bf16", "ema=0.9"])
    assert result.exit_code == 0, result.output
    weights = tmp_path / "out" / "final.safetensors"
    assert result.stdout.strip().endswith(str(weights))
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    (scores,) = [line["scores"] for line in lines if line["event"] == "validation"]
    assert 0 <= scores[f"{data.parent.name}/data.jsonl:val"]["mIoU"] <= 1
    answer = referent.load(weights).segment(data.parent / "3.png", "the red square")
    assert answer.model == "tiny-cris"


def test_a_wrong_setting_is_told_by_name(file: Path) -> None:
    result = CliRunner().invoke(app, ["train", str(file), "bach=3"])
    assert isinstance(result.exception, RecipeError)
    assert "unknown key `bach`; did you mean `batch`?" in str(result.exception)


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_go_on_and_ends_with_130(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "referent", "train", str(file), "steps=5000", "validate_every=5000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    wait_for_step(tmp_path / "out", 2)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert f"to go on: referent train {file} steps=5000 validate_every=5000 --resume" in err
    assert "Traceback" not in err
    assert list((tmp_path / "out").glob("step-*.pt"))
