"""A result whose phrases, tags and file names try to be more than text; see the fixtures in conftest.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from evaluation_stub import Stub
from PIL import Image

from referent.evaluation.run import evaluate
from referent.evaluation.source import Source
from referent.rle import encode

SIZE = (90, 120)
EVIL = "<script>alert(1)</script>"
EVIL_PICTURE = "\"><img src=x onerror=alert(2)> {{cases}} & %20#?'ü.png"


def box(left: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[20:70, left:right] = True
    return mask


def drawn(phrase: str) -> np.ndarray:
    """As many columns as the phrase's number says."""
    digits = re.findall(r"\d+", phrase)
    return box(10, 10 + int(digits[0])) if digits else box(0, 0)


def ask(folder: Path) -> Path:
    """A .jsonl file with phrases about five pictures, one of which cannot be answered."""
    records = []
    for name in ("a.png", "b.png", "c.png", EVIL_PICTURE, "broken.png"):
        pixels = np.random.default_rng(len(records)).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        for phrase, truth, kind in (
            ("cat 40", box(10, 50), "name"),
            ("left cat 20", box(10, 50), "position"),
            ("cow 30", None, "none"),
            (f"{EVIL} dog", box(60, 90), f'"><b>{EVIL}'),
        ):
            rle = [] if truth is None else encode(truth)
            tags = {"kind": kind, "same_class": "1"}
            records.append({"image": name, "phrase": phrase, "rle": rle, "split": "val", "tags": tags})
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answer(folder: Path, questions: Path) -> Path:
    """Its result, with predictions, of a stub; the model's name is hostile too."""

    def reply(picture: Path, phrase: str) -> tuple[np.ndarray, float, bool]:
        mask = drawn(phrase)
        return mask * 0.9, 0.5, bool(mask.any()) and "left" not in phrase

    stub = Stub(reply, name=f"stub {EVIL}", unreadable=frozenset({"broken.png"}))
    source = Source(str(questions))
    found = evaluate(
        stub,
        source.open("val"),
        ("referent", "cris"),
        save=folder / "saved.jsonl",
        replicates=20,
        source=source,
        command=f"referent evaluate '{EVIL}'",
    )
    path = folder / "result.json"
    found.save(path)
    return path
