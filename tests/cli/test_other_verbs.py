from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from full_disk import files_of_at_most

import referent as rf
from referent import weights
from referent.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]


def test_help_names_every_verb(run: Run) -> None:
    code, stdout, _ = run("--help")
    assert code == 0
    for verb in ("segment", "models", "convert", "describe", "train", "evaluate", "demo"):
        assert f" {verb} " in stdout


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version")[1] == f"referent {rf.__version__}\n"


def test_the_version_is_written_once() -> None:
    from importlib.metadata import version

    assert rf.__version__ == version("referent")


def test_the_table_of_models_shows_every_model(run: Run) -> None:
    code, stdout, _ = run("models")
    assert code == 0
    for row in rf.list_models():
        assert row.name in stdout


def test_a_narrow_terminal_cuts_nothing_off_the_table_of_models(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stdout = run("models")[1]
    assert "…" not in stdout
    for row in rf.list_models():
        assert row.name in stdout
        assert " ".join(row.origin.split()) in " ".join(stdout.split())


def test_the_table_of_models_for_machines(run: Run) -> None:
    rows = json.loads(run("models", "--json")[1])
    facts = {row["name"]: row for row in rows}
    assert facts["cris-r50"]["here"] is False
    assert facts["cris-r50"]["parameters"] == 146_849_121
    assert facts["cris-r50"]["takes"] == ["phrase"]
    assert set(facts["cris-pocket"]) >= {"licence", "origin", "here", "bytes", "sha256", "card", "abilities"}


def official_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint as the official training writes it, of a CRIS with a width no published one has."""
    from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
    from referent.layers.decoder import DecoderConfig
    from referent.layers.projector import ProjectorConfig
    from referent.models.cris.config import CRISConfig, NeckConfig
    from referent.models.cris.model import CRIS
    from referent.models.cris.official import to_official

    torch.manual_seed(1)
    config = CRISConfig(
        image=CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2),
        text=CLIPTextConfig(width=64, layers=1, heads=1, context=20, embed=16),
        neck=NeckConfig(channels=(8, 64, 16)),
        decoder=DecoderConfig(layers=1, heads=1, feedforward=16),
        projector=ProjectorConfig(hidden=8, width=8),
    )
    state = to_official(CRIS(config).state_dict(), config)
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([{"params": [weight], "initial_lr": 1e-5}], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[35], gamma=0.1)  # its state has a Counter
    weight.sum().backward()
    optimizer.step()
    content = {
        "epoch": 50,
        "cur_iou": 0.69,
        "best_iou": 0.68,
        "prec": {"Pr@50": 0.8},
        "state_dict": {f"module.{name}": value for name, value in state.items()},
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    torch.save(content, path)
    return state


def test_an_official_checkpoint_converts_and_converts_back(run: Run, tmp_path: Path) -> None:
    checkpoint, ours, back = tmp_path / "best_model.pth", tmp_path / "ours.safetensors", tmp_path / "back.pth"
    official = official_checkpoint(checkpoint)
    code, stdout, stderr = run("convert", checkpoint, ours, "--context-length", 18)
    assert (code, stderr) == (0, "")
    assert str(ours) in stdout
    header = weights.read_header(ours)
    assert header.family == "cris"
    assert header.preparation["context_length"] == 18
    assert header.extra["source_sha256"] == weights.sha256(checkpoint)
    assert rf.load(ours, device="cpu").preparation.size == 416
    assert run("convert", ours, back, "--to", "official")[0] == 0
    again = torch.load(back, weights_only=True)["state_dict"]
    shared = official.keys() & {name.removeprefix("module.") for name in again}
    assert len(shared) >= len(official) - 1
    for name in shared:
        assert torch.equal(again[f"module.{name}"], official[name])


def test_a_weight_file_can_be_halved(run: Run, tiny_weights: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    assert run("convert", tiny_weights, half, "--dtype", "fp16")[0] == 0
    assert half.stat().st_size < 0.6 * tiny_weights.stat().st_size
    assert weights.read_header(half) == weights.read_header(tiny_weights)
    assert rf.load(half, device="cpu").name == "tiny-cris"


def test_clip_archives_become_safetensors(run: Run, tmp_path: Path) -> None:
    from referent.encoders.clip_weights import read_clip

    source, target = tmp_path / "clip.pt", tmp_path / "clip.safetensors"
    state = openai_state()
    torch.save(state, source)
    code, stdout, stderr = run("convert", source, target)
    assert (code, stderr) == (0, "")
    assert "CLIPResNet" in stdout
    before, after = read_clip(source), read_clip(target)
    assert before.image == after.image
    assert all(torch.equal(value, after.image_state[name]) for name, value in before.image_state.items())


def test_a_full_disk_ends_a_conversion_in_one_line_and_leaves_nothing(
    run: Run, tiny_weights: Path, tmp_path: Path
) -> None:
    clip, out = tmp_path / "clip.pt", tmp_path / "out"
    torch.save(openai_state(), clip)
    out.mkdir()
    for source, name in (
        (clip, "clip.safetensors"),
        (tiny_weights, "ours.safetensors"),
    ):
        with files_of_at_most(5000):
            code, _, stderr = run("convert", source, out / name)
        assert code == 2
        assert stderr.startswith(f"referent: {out / name}: cannot write")
        assert stderr.count("\n") == 1
        assert not list(out.iterdir())


def openai_state() -> dict[str, torch.Tensor]:
    """A CLIP of a tiny width, under OpenAI's names."""
    from referent.encoders.clip import CLIPResNet, CLIPTextEncoder
    from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
    from referent.encoders.clip_names import image_rows, text_rows
    from referent.encoders.keymap import to_theirs

    image = CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2)
    text = CLIPTextConfig(width=64, layers=1, heads=1, context=20, embed=16)
    pictured = {
        name: value for name, value in CLIPResNet(image).state_dict().items() if not name.startswith("finish.connect.")
    }
    return {
        **to_theirs(pictured, image_rows(image)),
        **to_theirs(CLIPTextEncoder(text).state_dict(), text_rows(text)),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "clip"], "no way from referent to clip"),
        (["--to", "nonsense"], "nonsense"),
        (["--dtype", "int3"], "int3"),
    ],
)
def test_a_way_that_does_not_exist_is_a_wrong_call(
    run: Run, tiny_weights: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, _, stderr = run("convert", tiny_weights, tmp_path / "out", *arguments)
    assert code == 2
    assert message in stderr


def test_a_target_without_a_folder_is_a_wrong_call(run: Run, tiny_weights: Path, tmp_path: Path) -> None:
    code, _, stderr = run("convert", tiny_weights, tmp_path / "no" / "where.safetensors")
    assert code == 2
    assert "no such" in stderr


def test_the_demo_draws_on_the_photographs_of_scikit_image(run: Run, tiny_weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    out = tmp_path / "out"
    code, stdout, stderr = run("demo", "--model", tiny_weights, "--out", out)
    assert (code, stderr) == (0, "")
    for name in ("chelsea", "astronaut", "coffee"):
        assert str(out / f"{name}.overlay.png") in stdout
        assert (out / f"{name}.overlay.png").is_file()
    content = json.loads((out / "segmentations.json").read_text())
    assert len(content["phrases"]) >= 6


def test_the_demo_without_scikit_image_says_what_to_install(
    run: Run, colour_zoo: Segmenter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("referent.cli.demo.find_spec", lambda name: None)
    code, _, stderr = run("demo", "-o", tmp_path)
    assert code == 2
    assert stderr == "referent: demo: its photographs are inside scikit-image: pip install 'referent[demo]'\n"
