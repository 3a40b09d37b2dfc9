from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import referent as rf
from referent.segmenter import Segmenter

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("phrase", ["", " ", "\t\n", "\u00a0", "\u200b", "\x00", "x" * 1001, "caf\udce9"])
def test_a_phrase_without_words_or_beyond_bounds_is_a_wrong_call(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, phrase: str
) -> None:
    code, stdout, stderr = run("segment", photo, "--phrase", phrase, "-o", tmp_path / "out")
    assert (code, stdout) == (2, "")
    assert len(stderr.splitlines()) == 1
    assert stderr.startswith("referent: phrase: expected ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "phrase",
    [
        "🚗",
        "👩‍👩‍👧",
        "красная машина",
        "赤い車",
        "سيارة حمراء",
        "the “red” café's naïve car…",
        "&lt;red&gt;",
        "<|endoftext|> red",
        "!",
        "-p",
        "[bold]red[/bold]",
        "red " * 249,
        "r" * 1000,
        "red\ncar",
    ],
)
def test_a_phrase_in_any_script_is_answered(
    run: Run, colour_zoo: Segmenter, photo: Path, tmp_path: Path, phrase: str
) -> None:
    code, stdout, stderr = run("segment", photo, f"--phrase={phrase}", "-o", tmp_path / "out", "--json")
    assert (code, stderr) == (0, "")
    assert json.loads(stdout)["phrases"][0]["phrase"] == phrase.strip()


def test_a_tiny_cris_takes_any_phrase(tiny_weights: Path, photo: Path) -> None:
    phrases = ["🚗", "赤い車", "!", "<|endoftext|>", "word " * 200, "x" * 1000]
    answers = rf.load(tiny_weights, device="cpu").segment(photo, phrases)
    assert all(0 <= answer.score <= 1 for answer in answers)
    assert ["cut to the 17 tokens" in " ".join(answer.notes) for answer in answers] == [False] * 4 + [True] * 2
