"""Adapters: what was trained, beside the name and checksum of the CLIP that the rest comes from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image
from torch import Tensor

import referent as rf
from referent import adapters, hub, weights, zoo
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.clip_weights import load_clip_image, load_clip_text, read_clip
from referent.encoders.keymap import to_theirs
from referent.errors import WeightsError
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig
from referent.models.etris import ETRIS, ETRISConfig
from referent.models.etris.config import BridgerConfig, NeckConfig
from referent.models.etris.official import to_official
from referent.preparation import Preparation

Run = Callable[..., tuple[int, str, str]]
IMAGE = CLIPResNetConfig(blocks=(1, 1, 1, 1), width=4, embed=16, grid=2)
TEXT = CLIPTextConfig(width=64, layers=3, heads=1, context=20, embed=16)
CONFIG = ETRISConfig(
    image=IMAGE,
    text=TEXT,
    bridger=BridgerConfig(places=((1, 1), (2, 2), (3, 3)), width=8, feedforward=12),
    neck=NeckConfig(width=64, heads=1),
    decoder=DecoderConfig(layers=1, heads=1, feedforward=16),
    projector=ProjectorConfig(hidden=8, width=8),
)
PICTURE = Image.new("RGB", (50, 40), (200, 30, 30))


class Files(NamedTuple):
    """A CLIP, a model trained on it, whole and as an adapter."""

    clip: Path
    whole: Path
    adapter: Path


def save_clip(path: Path, seed: int) -> None:
    """A tiny CLIP under OpenAI's names, with batch norms that have seen something."""
    torch.manual_seed(seed)
    model = ETRIS(CONFIG)
    state = {**to_theirs(model.image_encoder.state_dict(), image_rows(IMAGE))}
    state |= to_theirs(model.text_encoder.state_dict(), text_rows(TEXT))
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.uniform_(-0.1, 0.1)
    torch.save({name: value for name, value in state.items() if ".connect." not in name}, path)


def tuned(clip: Path) -> ETRIS:
    """A model after a pretended training: everything trained, statistics too, is elsewhere."""
    torch.manual_seed(1)
    model, start = ETRIS(CONFIG), read_clip(clip)
    load_clip_image(model.image_encoder, start)
    load_clip_text(model.text_encoder, start)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1)
    return model


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "away"
    folder.mkdir()
    paths = Files(folder / "RN4.pt", tmp_path / "whole.safetensors", tmp_path / "adapter.safetensors")
    save_clip(paths.clip, 0)
    model = tuned(paths.clip)
    header = zoo.header(model, Preparation(size=64), "tiny-etris", {"step": 3})
    weights.write(paths.whole, model.state_dict(), header)
    adapters.write(paths.adapter, model.state_dict(), header, {"both": paths.clip})
    return paths


def state_of(path: Path, clip: Path | None = None) -> dict[str, Tensor]:
    return dict(rf.load(path, device="cpu", clip=clip).model.state_dict())


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_an_adapter_and_its_clip_are_the_whole_model(files: Files) -> None:
    assert_same(state_of(files.whole), state_of(files.adapter, files.clip))
    answer = rf.load(files.adapter, device="cpu", clip=files.clip).segment(PICTURE, "the red thing")
    assert answer.model == "tiny-etris"


def test_an_adapter_holds_what_was_trained_positions_connection_and_statistics_and_no_more(files: Files) -> None:
    held = weights.read_tensors(files.adapter).keys()
    of_encoders = {name for name in held if "_encoder." in name}
    assert {"image_encoder.finish.positions", "text_encoder.positions"} <= of_encoders
    assert {"image_encoder.finish.connect.0.weight", "image_encoder.stem.bn1.running_mean"} <= of_encoders
    kinds = ("positions", "running_mean", "running_var", "num_batches_tracked")
    assert all(name.endswith(kinds) or ".connect." in name for name in of_encoders)
    trained = {name for name, parameter in ETRIS(CONFIG).named_parameters() if parameter.requires_grad}
    assert trained <= held
    assert files.adapter.stat().st_size < 0.2 * files.whole.stat().st_size


def test_an_adapter_names_its_clip_and_its_checksum(files: Files) -> None:
    (base,) = adapters.bases_of(weights.read_header(files.adapter))
    assert (base.part, base.name, base.sha256) == ("both", "RN4.pt", weights.sha256(files.clip))
    assert adapters.bases_of(weights.read_header(files.whole)) == ()


def test_the_same_clip_in_another_form_will_do(files: Files, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "clip.safetensors"
    assert run("convert", files.clip, other)[0] == 0
    assert weights.sha256(other) != weights.sha256(files.clip)
    assert_same(state_of(files.whole), state_of(files.adapter, other))


def test_another_clip_is_an_error(files: Files, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    save_clip(other, 5)
    with pytest.raises(WeightsError, match=r"adapter\.safetensors: an adapter of RN4\.pt \(sha256 .*other\.pt holds"):
        rf.load(files.adapter, clip=other)


def test_a_clip_file_of_the_wrong_kind_is_an_error(files: Files, tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "not.pt")
    with pytest.raises(WeightsError, match=r"not\.pt: not a CLIP"):
        rf.load(files.adapter, clip=tmp_path / "not.pt")
    with pytest.raises(WeightsError, match=r"away: expected the file of RN4\.pt, found a folder"):
        rf.load(files.adapter, clip=tmp_path / "away")


def test_a_missing_part_is_named(files: Files, tmp_path: Path) -> None:
    header, tensors = weights.read(files.adapter)
    for name in ("text_encoder.positions", "bridgers.1.words_in.bias", "image_encoder.finish.connect.0.weight"):
        rest = {other: value for other, value in tensors.items() if other != name}
        weights.write(tmp_path / "torn.safetensors", rest, header)
        with pytest.raises(WeightsError, match=f"torn.safetensors: .*missing: {name}"):
            rf.load(tmp_path / "torn.safetensors", clip=files.clip)


def test_a_part_of_the_clip_inside_an_adapter_is_named(files: Files, tmp_path: Path) -> None:
    header, tensors = weights.read(files.adapter)
    odd = {**tensors, "text_encoder.projection": torch.zeros(64, 16)}
    weights.write(tmp_path / "odd.safetensors", odd, header)
    with pytest.raises(WeightsError, match=r"also holds parts of it: text_encoder\.projection"):
        rf.load(tmp_path / "odd.safetensors", clip=files.clip)


def test_a_header_whose_base_is_broken_is_an_error(files: Files, tmp_path: Path) -> None:
    header, tensors = weights.read(files.adapter)
    good = header.extra["bases"][0]
    for broken in ("RN4.pt", ["RN4.pt"], [{"name": "RN4.pt"}], [{**good, "sha256": 3}], [{**good, "part": "eyes"}]):
        odd = weights.Header(header.name, header.family, header.config, header.preparation, {"bases": broken})
        weights.write(tmp_path / "odd.safetensors", tensors, odd)
        with pytest.raises(
            WeightsError, match=r"extra\.bases: expected a list of entries with texts part, name, sha256"
        ):
            rf.load(tmp_path / "odd.safetensors", clip=files.clip)


def test_the_clip_is_found_beside_the_adapter_and_in_the_hubs_cache(files: Files, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"an adapter of RN4\.pt .* neither beside it .*clip= in Python, --clip"):
        rf.load(files.adapter)
    beside = tmp_path / "RN4.pt"
    files.clip.rename(beside)
    assert_same(state_of(files.whole), state_of(files.adapter))
    checksum = weights.sha256(beside)
    blobs, snapshot = (tmp_path / "hub" / "models--openai--rn4" / part for part in ("blobs", "snapshots/1"))
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    beside.rename(blobs / checksum)
    (snapshot / "model.bin").symlink_to(blobs / checksum)
    assert hub.cached(checksum) == snapshot / "model.bin"
    assert_same(state_of(files.whole), state_of(files.adapter))


def test_the_adapter_in_the_package_is_completed_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copied = Path(shutil.copy(zoo.find("etris-pocket"), tmp_path / "copied.safetensors"))
    assert_same(state_of(zoo.find("etris-pocket")), state_of(copied))


def test_an_adapter_can_belong_to_a_model_of_referent(files: Files, tmp_path: Path) -> None:
    header, _ = weights.read(files.whole)
    path = tmp_path / "second.safetensors"
    adapters.write(path, weights.read_tensors(files.whole), header, {"both": files.whole})
    assert not any(name.startswith("text_encoder.layers") for name in weights.read_tensors(path))
    assert_same(state_of(files.whole), state_of(path, files.whole))


def test_a_whole_model_takes_no_clip(files: Files) -> None:
    with pytest.raises(WeightsError, match="a whole model, which takes no CLIP"):
        rf.load(files.whole, clip=files.clip)


def test_encoders_that_were_trained_are_not_left_out(files: Files, tmp_path: Path) -> None:
    header, tensors = weights.read(files.whole)
    tensors["text_encoder.layers.0.norm1.weight"] += 1
    with pytest.raises(WeightsError, match=r"not the encoders of this model: text_encoder\.layers\.0\.norm1\.weight"):
        adapters.write(tmp_path / "x.safetensors", tensors, header, {"both": files.clip})
    assert not (tmp_path / "x.safetensors").exists()


def test_convert_makes_adapters_of_official_checkpoints_and_whole_models_of_adapters(
    files: Files, run: Run, tmp_path: Path
) -> None:
    official, adapter, whole = (tmp_path / name for name in ("best.pth", "a.safetensors", "w.safetensors"))
    torch.save({"state_dict": to_official(weights.read_tensors(files.whole), CONFIG)}, official)
    code, stdout, stderr = run("convert", official, adapter, "--adapter", "--clip", files.clip)
    assert (code, stderr) == (0, "")
    assert "etris" in stdout
    assert_same(state_of(files.whole), state_of(adapter, files.clip))
    assert run("convert", adapter, whole, "--clip", files.clip)[0] == 0
    assert_same(state_of(files.whole), state_of(whole))
    assert "bases" not in weights.read_header(whole).extra
    assert (
        run("convert", whole, tmp_path / "again.safetensors", "--adapter", "--clip", files.clip, "--dtype", "fp16")[0]
        == 0
    )
    assert (tmp_path / "again.safetensors").stat().st_size < 0.6 * adapter.stat().st_size
    assert rf.load(tmp_path / "again.safetensors", clip=files.clip).name == "etris"
    back = tmp_path / "back.pth"
    assert run("convert", adapter, back, "--to", "official", "--clip", files.clip)[0] == 0
    saved = torch.load(back, weights_only=True)["state_dict"]
    assert torch.equal(saved["module.proj.txt.bias"], torch.load(official)["state_dict"]["proj.txt.bias"])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--adapter"], "needs --clip"), (["--adapter", "--to", "official"], "an adapter is a file")],
)
def test_an_adapter_that_cannot_be_is_a_wrong_call(
    files: Files, run: Run, tmp_path: Path, options: list[str], message: str
) -> None:
    clip = [] if options == ["--adapter"] else ["--clip", files.clip]
    code, _, stderr = run("convert", files.whole, tmp_path / "out.safetensors", *options, *clip)
    assert code == 2
    assert message in " ".join(stderr.split())


def test_the_command_line_takes_an_adapter_and_its_clip(files: Files, run: Run, tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "red.png")
    arguments = ("segment", tmp_path / "red.png", "--phrase", "the red thing", "--json", "--model", files.adapter)
    code, stdout, _ = run(*arguments, "--clip", files.clip)
    assert code == 0
    assert json.loads(stdout)["phrases"]
    code, _, stderr = run(*arguments)
    assert code == 2
    assert "--clip" in stderr
