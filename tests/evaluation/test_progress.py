from __future__ import annotations

import pytest

from referent.evaluation.progress import counted, shown


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.mark.usefixtures("terminal")
def test_a_bar_goes_on_from_what_is_done_and_says_what_it_is_at(capsys: pytest.CaptureFixture[str]) -> None:
    with counted("frames", 9, True, done=4) as advance:
        advance(3, "dogs")
    said = capsys.readouterr().err
    assert all(text in said for text in ("frames", "dogs", "7/9"))


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("progress", [True, False])
def test_items_come_as_they_are_behind_a_bar_only_where_asked(
    progress: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(shown("abc", "letters", progress)) == ["a", "b", "c"]
    assert ("3/3" in capsys.readouterr().err) == progress
