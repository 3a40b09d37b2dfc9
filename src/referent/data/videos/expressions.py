"""Expressions about videos, in the format of Ref-YouTube-VOS and MeViS."""

from __future__ import annotations

from pathlib import Path

import msgspec

from referent.data.published.json_files import read_json

FILE = "meta_expressions.json"
FOLDER = "meta_expressions"
"""Of Ref-YouTube-VOS, with a folder for each split that holds `FILE`."""


class Said(msgspec.Struct):
    """One expression: `exp` is its text; `obj_id` one object's number, or several; `anno_id` keys of masks (MeViS)."""

    exp: str
    obj_id: int | list[int] | None = None
    anno_id: int | list[int] | None = None


class Spoken(msgspec.Struct):
    """One video: its expressions by id, and names of its frames."""

    expressions: dict[str, Said]
    frames: list[str]


class _File(msgspec.Struct):
    videos: dict[str, Spoken]


def read_expressions(path: Path) -> dict[str, Spoken]:
    """By video.

    Raises:
        DataError: missing, broken, or of another shape.
    """
    expected = "{videos: {VIDEO: {expressions: {ID: {exp, obj_id}}, frames}}}"
    found: _File = read_json(path, _File, expected, strict=False)
    return found.videos


def as_numbers(value: int | list[int] | None) -> tuple[int, ...]:
    """None, one or several, as several."""
    return () if value is None else (value,) if isinstance(value, int) else tuple(value)
