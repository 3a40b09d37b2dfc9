"""Where weights of encoders lie: what the hub's cache holds is used where the hub cannot be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from referent import hub
from referent.encoders.located import locate
from referent.errors import WeightsError

WEIGHTS, BESIDE = ("open_clip_model.safetensors", "model.safetensors"), ("open_clip_config.json", "config.json")
TransportError: type[Exception] = HfHubHTTPError.__bases__[0]
"""Base of all errors of the HTTP library, of which huggingface_hub lets those of the transport through."""
UNREACHABLE = (TransportError("connection reset\nby peer"), OfflineModeIsEnabled("offline mode is enabled"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The snapshot of someone/clip in a cache of the hub's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--clip"
    snapshot = repository / "snapshots" / ("01234567" * 5)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    return snapshot


def fails_with(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.fixture(params=UNREACHABLE, ids=lambda error: type(error).__name__)
def unreachable(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("list_repo_files", "hf_hub_download"):
        monkeypatch.setattr(f"huggingface_hub.{name}", fails_with(request.param))


@pytest.mark.usefixtures("unreachable")
def test_what_the_cache_holds_is_used_without_the_hub(cache: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (cache / name).touch()
    assert locate("someone/clip", WEIGHTS, BESIDE) == (cache / "model.safetensors", cache / "config.json")
    assert locate("someone/clip", WEIGHTS) == (cache / "model.safetensors", None)
    (cache / WEIGHTS[0]).touch()
    assert locate("someone/clip", WEIGHTS)[0].name == WEIGHTS[0]


@pytest.mark.usefixtures("unreachable", "cache")
def test_what_neither_the_hub_nor_its_cache_gives_is_an_error_of_one_line() -> None:
    for name in ("someone/clip", "some..one/clip"):
        with pytest.raises(
            WeightsError, match=r"not to be had from the hub: (connection reset|offline mode is enabled)$"
        ):
            locate(name, WEIGHTS)


@pytest.mark.usefixtures("unreachable")
def test_weights_whose_configuration_is_not_in_the_cache_are_not_taken_for_ones_without(cache: Path) -> None:
    (cache / "model.safetensors").touch()
    with pytest.raises(
        WeightsError, match=r"its cache holds model\.safetensors, but not open_clip_config\.json or con"
    ):
        locate("someone/clip", WEIGHTS, BESIDE)


def test_the_hub_is_asked_which_files_there_are(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "model.safetensors").touch()
    monkeypatch.setattr("huggingface_hub.list_repo_files", lambda _: [WEIGHTS[0], "config.json"])
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repository, file, **_: f"/{repository}/{file}")
    found, other = locate("someone/clip", WEIGHTS, BESIDE)
    assert (found, other) == (Path(f"/someone/clip/{WEIGHTS[0]}"), Path("/someone/clip/config.json"))


@pytest.mark.usefixtures("unreachable")
def test_a_model_of_the_hub_comes_from_the_cache_where_there_is_no_network(cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"the hub does not give its model\.safetensors: (connection reset|offline)"):
        hub.download("someone/clip")
    (cache / hub.WEIGHTS_FILE).touch()
    assert hub.download("someone/clip") == cache / hub.WEIGHTS_FILE
