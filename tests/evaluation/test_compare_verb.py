from __future__ import annotations

import json
import sys

import pytest
from evaluation_stub import columns, sample
from PIL import Image
from saved_results import save


@pytest.fixture
def both(tmp_path):
    samples = [
        one
        for number in range(6)
        for one in (
            sample(f"{number}a", f"{number}.png", "left cat", columns(0, 1), kind="position"),
            sample(f"{number}b", f"{number}.png", "[red] cat", columns(0), kind="[bold]"),
        )
    ]
    return [save(tmp_path, "a", samples, lambda phrase: 1), save(tmp_path, "b", samples, lambda phrase: 2, limit=9)]


def test_tables_show_numbers_differences_and_what_differs(run, both, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    ended = run("compare", *both)
    assert (ended.code, ended.err) == (0, "")
    lines = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert lines[0] == "toy (val): 9 phrases that all of them answered"
    assert "note: a: 9 of its 12 phrases compared; the others are not in every result" in lines
    assert "model a b" in lines
    assert "limit none 9" in lines
    assert any(line.startswith("mIoU 72.22 77.78 +5.56 [+0.0, ") for line in lines), ended.out
    assert "kind: position 5 50.00 100.00 +50.00 [+50.0, +50.0] ▲" in lines
    assert "kind: [bold] 4 100.00 50.00 -50.00 [-50.0, -50.0] ▼" in lines
    assert "one row in twenty" in ended.out


def test_json_goes_to_standard_output_and_to_a_file(run, both, tmp_path):
    out = tmp_path / "out.json"
    ended = run("compare", *both, "--json", "--out", out, "--protocol", "cris")
    found = json.loads(ended.out)
    assert found == json.loads(out.read_text())
    assert list(found["parts"][0]["protocols"]) == ["cris"]
    assert found["command"].startswith("referent compare")
    group = found["parts"][0]["protocols"]["cris"]["groups"][0]
    assert group["numbers"]["mIoU"]["differences"][0].keys() == {"value", "low", "high"}


def test_another_number_can_be_shown_by_group(run, both):
    assert "Pr@0.9 (referent)" in run("compare", *both, "--number", "Pr@0.9").out
    ended = run("compare", *both, "--number", "IoU")
    assert ended.code == 2
    assert "number: expected one of oIoU, mIoU" in ended.err


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_differences_are_drawn_the_same_each_time(run, both, tmp_path, suffix):
    for name in ("first", "second"):
        assert run("compare", *both, *both[1:], "--draw", tmp_path / f"{name}{suffix}").code == 0
    first = (tmp_path / f"first{suffix}").read_bytes()
    assert first == (tmp_path / f"second{suffix}").read_bytes()
    if suffix == ".png":
        with Image.open(tmp_path / "first.png") as image:
            assert image.width > 800
            assert len(image.convert("RGB").getcolors(1 << 24)) > 50
    if suffix == ".svg":
        assert b"kind: [bold]" in first.replace(b"&#91;", b"[") or b"<use" in first


def test_drawing_asks_for_what_it_needs_before_the_work(run, both, tmp_path, monkeypatch):
    ended = run("compare", *both, "--draw", tmp_path / "x.gif")
    assert (ended.code, ended.out) == (2, "")
    assert "x.gif: expected a name that ends in .png, .svg, .pdf" in ended.err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ended = run("compare", *both, "--draw", tmp_path / "x.png")
    assert (ended.code, ended.out) == (2, "")
    assert "drawing needs matplotlib: pip install 'referent[plot]'" in ended.err


def test_wrong_calls_end_in_one_line(run, both, tmp_path):
    for arguments, message in (
        ([both[0]], "no other result of the same data set and split"),
        ([both[0], tmp_path / "none.json"], "none.json: cannot be read"),
        ([*both, "--out", tmp_path / "no" / "x.json"], "there is no folder"),
        ([*both, "--protocol", "lavt"], "no protocol to compare under: protocol lavt"),
    ):
        ended = run("compare", *arguments)
        assert ended.code == 2
        assert message in ended.err
        assert len(ended.err.strip().splitlines()) == 1
