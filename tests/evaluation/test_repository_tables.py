"""The tables of this repository's own pages, as `make check` holds them to the result files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from referent.evaluation.tables import MARKER

ROOT = Path(__file__).resolve().parents[2]
NUMBER = re.compile(r"(?<=\| )\d+(?:\.\d+)?")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """README, docs, model cards and results, with nothing else."""
    for folder, pattern in ((".", "*.md"), ("docs", "*.md"), ("benchmarks", "**/*"), ("src/referent", "**/*.md")):
        for path in (ROOT / folder).glob(pattern):
            if path.is_file() and "__pycache__" not in path.parts:
                target = tmp_path / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    return tmp_path


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / "benchmarks" / "tables.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


def test_a_number_edited_by_hand_fails_the_check_on_whatever_page_it_stands(copy):
    ended = check(copy)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    pages = [path for path in copy.rglob("*.md") if MARKER.search(path.read_text(encoding="utf-8"))]
    assert copy / "README.md" in pages
    edited = []
    for page in pages:
        text = page.read_text(encoding="utf-8")
        body = MARKER.search(text)
        assert body is not None
        number = NUMBER.search(text, body.start("body"))
        assert number is not None, f"{page}: its first table has no number"
        page.write_text(text[: number.start()] + "98.7" + text[number.end() :], encoding="utf-8")
        edited.append(str(page.relative_to(copy)))
    ended = check(copy)
    assert ended.returncode == 1
    for name in edited:
        assert name in ended.stdout
    assert "98.7" in ended.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_what_ci_runs_checks_the_tables():
    ended = subprocess.run(["make", "-n", "test"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "benchmarks/tables.py --check" in ended.stdout
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
