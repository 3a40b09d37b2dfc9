from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from referent.encoders.clip_names import image_rows, text_rows
from referent.encoders.keymap import prefixed, to_theirs

from .tiny import BOXES, picture, resnet

ORACLE = Path(__file__).parents[1] / "parity" / "reclip" / "reclip_trees.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration with everything that it names beside it."""
    clip = resnet()
    ours = {f"image.{name}": value for name, value in clip.image.state_dict().items() if "connect" not in name}
    ours |= {f"text.{name}": value for name, value in clip.text.state_dict().items()}
    rows = prefixed(image_rows(clip.image.config), ours="image.") + prefixed(text_rows(clip.text.config), ours="text.")
    torch.save(to_theirs(ours, rows), tmp_path / "clip.pt")
    boxes = {"picture": BOXES.tolist()}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    (tmp_path / "parses.jsonl").write_bytes(ORACLE.read_bytes())
    (tmp_path / "mine.yaml").write_text("clips: [clip.pt]\nparser: parses.jsonl\nproposals: boxes.json\n")
    picture().save(tmp_path / "picture.png")
    return tmp_path
