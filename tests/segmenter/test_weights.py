from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from referent import weights
from referent.errors import WeightsError
from referent.weights import Header

HEADER = Header("a-model", "cris", {"presence": True}, {"size": 64}, {"step": 3})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    base = torch.arange(12.0)
    tensors = {"whole": base, "view": base[2:6], "turned": base.view(3, 4).T, "count": torch.tensor(7)}
    weights.write(path, tensors, HEADER)
    header, found = weights.read(path)
    assert header == HEADER
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_the_header_is_read_without_the_tensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights.write(path, {"w": torch.zeros(4)}, HEADER)
    assert weights.read_header(path) == HEADER


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert weights.sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_interrupted_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    weights.write(path, {"w": torch.ones(4)}, HEADER)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        weights.write(path, {"w": torch.zeros(4)}, HEADER)
    assert torch.equal(weights.read_tensors(path)["w"], torch.ones(4))
    assert [item.name for item in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_file_of_another_precision_fills_an_fp32_model(dtype: torch.dtype) -> None:
    model = nn.BatchNorm1d(3)
    state = {name: torch.ones_like(tensor) for name, tensor in model.state_dict().items()}
    weights.load_into(model, weights.cast(state, dtype), "a file")
    assert model.weight.dtype == torch.float32
    assert model.num_batches_tracked.dtype == torch.int64
    assert torch.equal(model.running_mean, torch.ones(3))


def test_missing_left_over_and_misshapen_names_are_all_told_and_the_model_is_untouched() -> None:
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    with pytest.raises(WeightsError) as caught:
        weights.load_into(model, {"weight": torch.zeros(2, 4), "extra": torch.zeros(1)}, "x.safetensors")
    message = str(caught.value)
    assert message.startswith("x.safetensors: does not fit Linear")
    assert "missing: bias" in message
    assert "not of this model: extra" in message
    assert "weight: expected shape (2, 3), found (2, 4)" in message
    assert torch.equal(model.weight, before)


def test_an_integer_tensor_does_not_fill_a_float_one() -> None:
    with pytest.raises(WeightsError, match=r"weight: expected torch.float32, found torch.int8"):
        weights.load_into(
            nn.Linear(1, 1), {"weight": torch.zeros(1, 1, dtype=torch.int8), "bias": torch.zeros(1)}, "a file"
        )


def test_a_long_list_of_names_is_cut() -> None:
    with pytest.raises(WeightsError, match="and 14 more") as caught:
        weights.load_into(nn.Linear(1, 1), {f"name{index}": torch.zeros(1) for index in range(20)}, "a file")
    assert len(str(caught.value)) < 300


def test_safetensors_of_somebody_else_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"theirs\.safetensors: .*without its header; `referent convert`"):
        weights.read(path)
    assert weights.read_tensors(path).keys() == {"w"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "header cannot be read"),
        ("[]", "header cannot be read"),
        (json.dumps({"format": 99}), "expected format 1, found 99; update referent"),
        (json.dumps({"format": 1, "name": "x"}), "header cannot be read"),
        (
            json.dumps({"format": 1, "name": "x", "family": "cris", "config": [], "preparation": {}}),
            "header field config: expected dict",
        ),
    ],
)
def test_a_broken_header_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"referent": content})
    with pytest.raises(WeightsError, match=message):
        weights.read_header(path)
