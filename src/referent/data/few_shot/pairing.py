"""Which pictures and masks in a folder of folders belong together.

FOLDER/abacus/1.jpg   FOLDER/abacus/1.png               FSS-1000 (also in FOLDER/images or FOLDER/fewshot_data)
FOLDER/cat/a.jpg      FOLDER/cat/a_mask.png             the mask known by its name
FOLDER/cat/images/a.jpg     FOLDER/cat/masks/a.png      in folders of their own
FOLDER/images/cat/a.jpg     FOLDER/masks/cat/a.png      the same the other way round
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from referent.picture import SUFFIXES

PICTURE_FOLDERS = ("images", "image", "pictures", "JPEGImages")
MASK_FOLDERS = ("masks", "mask", "annotations", "labels")
WRAPPERS = ("fewshot_data", "images")
"""Folders that only hold those of the classes: FSS-1000's archive, and VAT's layout of it."""

_MASK_STEM = re.compile(r"(.+)[._-](?:mask|gt|label|seg|segmentation)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, one of which may be missing; `stem` is what they are known by."""

    stem: str
    picture: Path | None
    mask: Path | None


def class_pairs(folder: Path) -> dict[str, list[Pair]]:
    """The pairs of every class by the name of its folder, both in order of their names, as text."""
    folder = _unwrapped(folder)
    pictures, masks = _first(folder, PICTURE_FOLDERS), _first(folder, MASK_FOLDERS)
    if pictures and masks:
        found = {own.name: _paired(_files(own), _files(masks / own.name)) for own in _folders(pictures)}
    else:
        found = {own.name: _of_class(own) for own in _folders(folder)}
    return {name: pairs for name, pairs in found.items() if any(pair.mask for pair in pairs)}


def _unwrapped(folder: Path) -> Path:
    for name in WRAPPERS:
        if (folder / name).is_dir() and not _first(folder, MASK_FOLDERS):
            return _unwrapped(folder / name)
    return folder


def _of_class(folder: Path) -> list[Pair]:
    pictures, masks = _first(folder, PICTURE_FOLDERS), _first(folder, MASK_FOLDERS)
    if pictures and masks:
        return _paired(_files(pictures), _files(masks))
    files = _files(folder)
    photographs = {file.stem for file in files if file.suffix.lower() != ".png"}
    by_name = [file for file in files if _MASK_STEM.fullmatch(file.stem)]
    beside = [file for file in files if file.suffix.lower() == ".png" and file.stem in photographs]
    aside = {*by_name, *beside}
    return _paired([file for file in files if file not in aside], sorted(aside))


def _paired(pictures: Iterable[Path], masks: Iterable[Path]) -> list[Pair]:
    """By stem; of masks without their "_mask"."""
    found = {file.stem: file for file in pictures}
    drawn = {}
    for file in masks:
        named = _MASK_STEM.fullmatch(file.stem)
        drawn[named[1] if named and file.stem not in found else file.stem] = file
    return [Pair(stem, found.get(stem), drawn.get(stem)) for stem in sorted({*found, *drawn})]


def _first(folder: Path, names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        child for child in folder.iterdir() if child.suffix.lower() in SUFFIXES and not child.name.startswith(".")
    )
