"""Small real data sets, written to a temporary folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from small_data import block, coco_content, save_picture


@pytest.fixture
def coco_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a COCO file and its two pictures; the argument changes the content first."""

    def write(change: Callable[[dict[str, Any]], object] = lambda content: None, *, folder: str = "") -> Path:
        for name in ("one.png", "two.png"):
            save_picture(tmp_path / folder / name)
        content = coco_content()
        change(content)
        path = tmp_path / "data.json"
        path.write_text(json.dumps(content))
        return path

    return write


@pytest.fixture
def lines_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a .jsonl file of the given records (text as it is), one picture and one mask."""

    def write(*records: dict[str, Any] | str) -> Path:
        save_picture(tmp_path / "one.png")
        Image.fromarray(block(2, 3)).save(tmp_path / "mask.png")
        path = tmp_path / "data.jsonl"
        path.write_text("\n".join(record if isinstance(record, str) else json.dumps(record) for record in records))
        return path

    return write
