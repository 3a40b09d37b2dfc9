from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import referent as rf
from referent import hub, weights, zoo
from referent.errors import WeightsError
from referent.segmenter import Segmenter
from referent.zoo.rows import LENT, POCKET

ROOT = Path(__file__).resolve().parents[2]


def test_every_row_names_its_family_licence_origin_and_card() -> None:
    assert {"cris-pocket", "cris-r50", "cris-r101"} <= {row.name for row in rf.list_models()}
    for row in rf.list_models():
        assert row.family in {*zoo.FAMILIES, *zoo.COMPOSED}
        assert row.takes
        assert row.licence
        assert row.origin
        assert row.card is not None
        assert (ROOT / row.card).is_file(), row.card


def test_the_sizes_in_the_table_are_those_of_the_models() -> None:
    for row in rf.list_models():
        if row.variant is not None:
            with torch.device("meta"):
                model = zoo.FAMILIES[row.family].model(row.config())
            assert sum(parameter.numel() for parameter in model.parameters()) == row.parameters


def test_the_packaged_weights_are_those_of_the_table() -> None:
    for row in rf.list_models():
        if row.path is not None:
            assert weights.sha256(row.path) == row.sha256
            header, tensors = zoo.read(row.path)
            assert header.name == row.name
            assert header.family == row.family
            own = zoo.FAMILIES[row.family].model(zoo.config_of(header, row.path))
            assert sum(parameter.numel() for parameter in own.parameters()) == row.parameters
            assert tensors.keys() == own.state_dict().keys()


def test_the_files_that_are_lent_to_adapters_are_those_of_the_table() -> None:
    assert {name: weights.sha256(POCKET / name) for name in LENT} == LENT


def test_a_model_of_which_there_are_no_weights_says_why_and_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"cris-r50: .* never released a checkpoint\. .*referent convert"):
        rf.load("cris-r50")


def test_a_misspelt_name_is_met_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"cris-poket: expected a model name .*did you mean cris-pocket\?"):
        rf.load("cris-poket")
    with pytest.raises(WeightsError, match=r"gone\.safetensors: expected a model name"):
        rf.load(tmp_path / "gone.safetensors")


def test_a_saved_model_answers_as_before_from_file_and_from_folder(tiny_weights: Path, tmp_path: Path) -> None:
    picture = Image.new("RGB", (50, 40), (200, 30, 30))
    first = rf.load(tiny_weights, device="cpu")
    first.presence_threshold = 0.25
    expected = first.segment(picture, "the red thing")
    file = first.save(tmp_path / "copy.safetensors")
    folder = first.save(tmp_path / "folder")
    assert folder == tmp_path / "folder" / "model.safetensors"
    for name in (file, str(file), tmp_path / "folder"):
        again = rf.load(name, device="cpu")
        assert again.name == "tiny-cris"
        assert again.presence_threshold == 0.25
        assert again.preparation == first.preparation
        answer = again.segment(picture, "the red thing")
        assert np.array_equal(answer.probability, expected.probability)
        assert answer.score == expected.score


@pytest.mark.parametrize("value", ["x", None, True, [0.5], 1.5, float("nan"), float("inf")])
def test_a_presence_threshold_that_is_none_is_named(tiny_weights: Path, tmp_path: Path, value: object) -> None:
    header, tensors = weights.read(tiny_weights)
    path = tmp_path / "odd.safetensors"
    weights.write(path, tensors, replace(header, extra={"presence_threshold": value}))
    with pytest.raises(WeightsError, match=r"odd\.safetensors: header field extra\.presence_threshold: .*from 0 to 1"):
        rf.load(path, device="cpu")


def test_the_users_home_may_be_written_as_a_tilde(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model = rf.Segmenter.from_pretrained(tiny_weights, device="cpu")
    assert model.save("~/mine.safetensors") == tmp_path / "mine.safetensors"
    assert model.save_pretrained("~/folder") == tmp_path / "folder"
    for name in ("~/mine.safetensors", Path("~/folder")):
        assert rf.load(name, device="cpu").name == "tiny-cris"
    with pytest.raises(WeightsError, match="~nobody-of-this-name/mine"):
        rf.load("~nobody-of-this-name/mine.safetensors")


def test_a_grounding_system_is_no_segmenter_of_one_file() -> None:
    with pytest.raises(WeightsError, match="reclip-pocket: expected a model of one weight file"):
        rf.Segmenter.from_pretrained("reclip-pocket")


def test_an_fp16_file_loads_as_fp32(tiny_weights: Path, tmp_path: Path) -> None:
    header, tensors = weights.read(tiny_weights)
    path = tmp_path / "half.safetensors"
    weights.write(path, weights.cast(tensors, torch.float16), header)
    segmenter = rf.load(path, device="cpu")
    assert {parameter.dtype for parameter in segmenter.model.parameters()} == {torch.float32}


def test_a_folder_without_one_weight_file_says_what_it_holds(tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"expected model\.safetensors or one \.safetensors file, found none"):
        rf.load(tmp_path)
    shutil.copy(tiny_weights, tmp_path / "a.safetensors")
    assert rf.load(tmp_path, device="cpu").name == "tiny-cris"
    shutil.copy(tiny_weights, tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match=r"found a\.safetensors, b\.safetensors"):
        rf.load(tmp_path)


def test_weights_of_an_unknown_family_or_configuration_are_named(tiny_weights: Path, tmp_path: Path) -> None:
    header, tensors = weights.read(tiny_weights)
    path = tmp_path / "odd.safetensors"
    for changed, message in (
        ({"family": "yolo"}, "expected a family of cris, .*found 'yolo'"),
        ({"config": {**header.config, "colour": 1}}, "CRISConfig colour: Extra inputs are not permitted, found 1"),
        ({"preparation": {"size": -4}}, "Preparation size: .*found -4"),
    ):
        content = {"name": "x", "family": "cris", "config": header.config, "preparation": header.preparation, **changed}
        weights.write(path, tensors, weights.Header(**content))
        with pytest.raises(WeightsError, match=message):
            rf.load(path)


def test_only_models_of_the_zoo_can_be_saved(colours: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="ColourModel: expected a model of cris"):
        colours.save(tmp_path / "x.safetensors")


def hub_cache(folder: Path, repository: str, weight_file: Path) -> Path:
    """A cache laid out as huggingface_hub's: blobs, snapshots by commit, and refs."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = folder / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(commit)
    (root / "blobs").mkdir()
    blob = root / "blobs" / weights.sha256(weight_file)
    shutil.copy(weight_file, blob)
    snapshot = root / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / hub.WEIGHTS_FILE).symlink_to(blob)
    return folder


def test_a_hub_id_is_taken_from_the_hubs_cache(tiny_weights: Path, tmp_path: Path) -> None:
    cache = hub_cache(tmp_path, "someone/tiny-cris", tiny_weights)
    segmenter = Segmenter.from_pretrained("someone/tiny-cris", device="cpu", cache_dir=cache, local_files_only=True)
    assert segmenter.name == "tiny-cris"
    pinned = Segmenter.from_pretrained(
        "someone/tiny-cris",
        device="cpu",
        revision="0123456789abcdef0123456789abcdef01234567",
        cache_dir=cache,
        local_files_only=True,
    )
    assert pinned.name == "tiny-cris"


def test_a_hub_id_that_is_not_to_be_had_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"someone/nothing: no such file or folder, and the hub does not give"):
        Segmenter.from_pretrained("someone/nothing", cache_dir=tmp_path, local_files_only=True)


def test_a_push_without_network_is_one_error(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import HfHubHTTPError

    transport = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")

    class Api:
        def __init__(self, token: str | None = None) -> None: ...

        def create_repo(self, repository: str, **settings: bool) -> str:
            raise transport("connection refused")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(WeightsError, match="someone/tiny: the hub does not take it: connection refused"):
        rf.load(tiny_weights, device="cpu").push_to_hub("someone/tiny")


def test_what_is_pushed_to_the_hub_loads_again(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = tmp_path / "uploaded"

    class Api:
        def __init__(self, token: str | None = None) -> None:
            assert token == "secret"

        def create_repo(self, repository: str, *, private: bool, exist_ok: bool) -> str:
            assert (repository, private, exist_ok) == ("someone/tiny", True, True)
            return "https://hub.example/someone/tiny"

        def upload_folder(self, *, repo_id: str, folder_path: Path) -> None:
            assert repo_id == "someone/tiny"
            shutil.copytree(folder_path, uploaded)

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    segmenter = rf.load(tiny_weights, device="cpu")
    assert segmenter.push_to_hub("someone/tiny", private=True, token="secret") == "https://hub.example/someone/tiny"
    assert sorted(path.name for path in uploaded.iterdir()) == ["README.md", "model.safetensors"]
    assert "library_name: referent" in (uploaded / "README.md").read_text()
    assert rf.load(uploaded, device="cpu").name == "tiny-cris"


def test_the_header_alone_tells_which_model_a_file_is(tiny_weights: Path) -> None:
    header = weights.read_header(tiny_weights)
    assert header.family == "cris"
    assert json.loads(json.dumps(header.config))["presence"] is True
