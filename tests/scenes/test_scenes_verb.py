"""`referent scenes` as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def test_it_says_what_it_made(run: Run, tmp_path: Path) -> None:
    outcome = run("scenes", tmp_path / "out", "--n", 3, "--clips", 1, "--size", 64)
    assert outcome.code == 0
    assert "pictures: 3, phrases: " in outcome.err
    assert "clips: 1" in outcome.err
    assert "relation" in outcome.err
    assert len(list((tmp_path / "out" / "images").iterdir())) == 3


def test_a_folder_of_something_else_is_a_wrong_call_and_stays_untouched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    outcome = run("scenes", tmp_path, "--n", 3)
    assert outcome.code == 2
    assert outcome.err.startswith(f"referent: {tmp_path}: not empty")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_sizes_and_numbers_that_make_no_sense_are_refused(run: Run, tmp_path: Path) -> None:
    assert run("scenes", tmp_path / "a", "--size", 8).code == 2
    assert run("scenes", tmp_path / "b", "--n", 0).code == 2
    assert not (tmp_path / "a").exists()
