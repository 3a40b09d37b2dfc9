from __future__ import annotations

import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import referent as rf
from referent import weights
from referent.errors import WeightsError

Run = Callable[..., tuple[int, str, str]]


class Hostile:
    """A pickle that writes a file when it is opened."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.sentinel),)


def as_zip(path: Path, content: object) -> None:
    torch.save(content, path)


def as_old_torch(path: Path, content: object) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def as_pickle(protocol: int) -> Callable[[Path, object], None]:
    return lambda path, content: path.write_bytes(pickle.dumps(content, protocol=protocol)) and None


FORMS = {"zip": as_zip, "old torch": as_old_torch, **{f"pickle {n}": as_pickle(n) for n in range(6)}}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["evil.safetensors", "evil.pth"])
def test_a_pickle_with_code_never_runs(run: Run, photo: Path, tmp_path: Path, form: str, name: str) -> None:
    sentinel, evil = tmp_path / "it-ran", tmp_path / name
    FORMS[form](evil, {"state_dict": {"weight": Hostile(sentinel)}})
    # The trap works: an ordinary unpickling would have run it.
    if form.startswith("pickle"):
        pickle.loads(evil.read_bytes())
        sentinel.rmdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(evil, folder / "model.safetensors")
    calls = [
        ["segment", photo, "-p", "red", "--model", evil, "-o", tmp_path / "out"],
        ["segment", photo, "-p", "red", "--model", folder, "-o", tmp_path / "out"],
        ["convert", evil, tmp_path / "converted.safetensors"],
        ["convert", evil, tmp_path / "converted.safetensors", "--from", "referent"],
        ["convert", evil, tmp_path / "converted.safetensors", "--from", "clip"],
        ["convert", evil, tmp_path / "converted.safetensors", "--from", "official"],
    ]
    for call in calls:
        code, stdout, stderr = run(*call)
        assert (code, stdout) == (2, ""), call
        assert stderr.startswith("referent: "), call
        assert len(stderr.splitlines()) == 1, stderr
        assert "evil" in stderr or "folder" in stderr
        assert not sentinel.exists(), call
        assert not (tmp_path / "converted.safetensors").exists()


def test_what_a_refused_pickle_asks_for_is_named_and_nothing_unsafe_is_advised(run: Run, tmp_path: Path) -> None:
    as_zip(tmp_path / "evil.pth", {"weight": Hostile(tmp_path / "it-ran")})
    code, _, stderr = run("convert", tmp_path / "evil.pth", tmp_path / "out.safetensors")
    assert code == 2
    assert stderr == (
        f"referent: {tmp_path / 'evil.pth'}: refused: it holds more than tensors and plain containers (posix.mkdir), "
        "and could run code\n"
    )


def test_a_harmless_pickle_is_pointed_to_convert(tmp_path: Path) -> None:
    as_zip(tmp_path / "model.pth", {"weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"model\.pth: expected safetensors, found a PyTorch pickle.*convert"):
        rf.load(tmp_path / "model.pth")


def changed(tiny_weights: Path, path: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    header, tensors = weights.read(tiny_weights)
    change(tensors)
    weights.write(path, tensors, header)
    return path


def test_missing_and_left_over_keys_are_named(run: Run, tiny_weights: Path, photo: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["decoder.something_else"] = tensors.pop("decoder.norm.weight")

    path = changed(tiny_weights, tmp_path / "odd.safetensors", change)
    code, _, stderr = run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")
    assert code == 2
    assert stderr == (
        f"referent: {path}: does not fit CRIS: missing: decoder.norm.weight; "
        "not of this model: decoder.something_else\n"
    )


def test_a_tensor_of_another_shape_is_named(run: Run, tiny_weights: Path, photo: Path, tmp_path: Path) -> None:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["decoder.norm.weight"] = torch.ones(3)

    path = changed(tiny_weights, tmp_path / "odd.safetensors", change)
    code, _, stderr = run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")
    assert code == 2
    assert "decoder.norm.weight: expected shape (16,), found (3,)" in stderr


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_file_of_another_dtype_is_answered_from(
    run: Run, tiny_weights: Path, photo: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    header, tensors = weights.read(tiny_weights)
    path = tmp_path / "other.safetensors"
    weights.write(path, weights.cast(tensors, dtype), header)
    assert run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")[0] == 0


def test_a_file_of_another_model_says_whose_it_is(run: Run, tiny_weights: Path, photo: Path, tmp_path: Path) -> None:
    header, tensors = weights.read(tiny_weights)
    path = tmp_path / "other.safetensors"
    for family, message in (("yolo", r"expected a family of cris, .*found 'yolo'"), ("etris", "ETRISConfig neck")):
        weights.write(path, tensors, weights.Header("x", family, header.config, header.preparation))
        code, _, stderr = run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")
        assert code == 2
        assert re.search(message, stderr)


def test_the_weights_of_another_cris_do_not_pass_for_this_one(
    run: Run, tiny_weights: Path, photo: Path, tmp_path: Path
) -> None:
    header, tensors = weights.read(tiny_weights)
    other = {**header.config, "projector": {**header.config["projector"], "width": 12}}
    path = tmp_path / "other.safetensors"
    weights.write(path, tensors, weights.Header(header.name, header.family, other, header.preparation))
    code, _, stderr = run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")
    assert code == 2
    assert stderr.startswith(
        f"referent: {path}: does not fit CRIS: projector.last.bias: expected shape (12,), found (8,)"
    )
    assert len(stderr.splitlines()) == 1


def test_safetensors_that_are_not_referents_are_told_so(run: Run, photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"visual.conv1.weight": torch.zeros(2)}, path)
    code, _, stderr = run("segment", photo, "-p", "red", "-m", path, "-o", tmp_path / "out")
    assert code == 2
    assert stderr.startswith(f"referent: {path}: expected a weight file written by referent")
    assert len(stderr.splitlines()) == 1


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "four bytes": lambda content: content[:4],
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one byte more": lambda content: content + b"x",
    "text": lambda content: b"these are not weights",
    "huge header": lambda content: b"\xff" * 8 + content[8:],
    "broken header": lambda content: content[:8] + b"[" + content[9:],
}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("verb", ["segment", "convert"])
def test_a_damaged_file_is_named(
    run: Run, tiny_weights: Path, photo: Path, tmp_path: Path, damage: str, verb: str
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(DAMAGED[damage](tiny_weights.read_bytes()))
    out = tmp_path / "out"
    calls = {"segment": [photo, "-p", "red", "-m", path, "-o", out], "convert": [path, out]}
    code, _, stderr = run(verb, *calls[verb])
    assert code == 2
    assert stderr.startswith(f"referent: {path}: ")
    assert len(stderr.splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize("name", ["gone.safetensors", "cris-r5O", "no/such/thing/at/all"])
def test_a_model_that_is_not_there_is_named(run: Run, photo: Path, tmp_path: Path, name: str) -> None:
    code, _, stderr = run("segment", photo, "-p", "red", "-m", name, "-o", tmp_path / "out")
    assert code == 2
    assert stderr.startswith(f"referent: {name}: expected a model name")


def test_an_official_checkpoint_with_keys_missing_or_extra_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    for state, message in (
        ({"layer.weight": torch.zeros(2)}, "not a CRIS checkpoint"),
        ({"neck.x": 3}, "not a CRIS checkpoint"),
        ({}, "no state dict"),
    ):
        as_zip(path, {"state_dict": state})
        code, _, stderr = run("convert", path, tmp_path / "out.safetensors")
        assert code == 2
        assert stderr.startswith(f"referent: {path}: ")
        assert message in stderr
        assert not (tmp_path / "out.safetensors").exists()
