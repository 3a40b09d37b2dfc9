from __future__ import annotations

from pathlib import Path

import hostile_result
import pytest


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    return hostile_result.ask(tmp_path)


@pytest.fixture
def result(tmp_path: Path, questions: Path) -> Path:
    return hostile_result.answer(tmp_path, questions)
