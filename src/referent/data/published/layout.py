"""What a folder of a published data set holds, told by its file names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from referent.errors import DataError

INSTANCES = "instances.json"
PREFERRED = "unc"
"""RefCOCO comes split twice, by "google" and by "unc"; all published results on it are on "unc"."""

_REFS = re.compile(r"g?refs\((?P<variant>[^()]+)\)\.(p|json)")
_PHRASECUT = re.compile(r"refer_(?P<split>train|val|test|miniv)\.json")


@dataclass(frozen=True)
class Layout:
    """A folder of a published data set.

    Attributes:
        folder: where it is.
        kind: "refer": refs in a pickle or JSON file beside `instances.json` (RefCOCO, RefCOCO+, RefCOCOg, gRefCOCO,
            RefGTA, Ref-ZOM). "phrasecut": `refer_<split>.json` beside `image_data_split*.json`.
        files: of "refer" by splitting ("unc", "umd", "google", ...); of "phrasecut" by split.
    """

    folder: Path
    kind: Literal["refer", "phrasecut"]
    files: dict[str, Path]

    def one(self) -> Layout:
        """With the one splitting that is meant: the only one, or `PREFERRED`.

        Raises:
            DataError: there are several and none of them is preferred.
        """
        if self.kind == "phrasecut" or len(self.files) == 1:
            return self
        if PREFERRED in self.files:
            return Layout(self.folder, self.kind, {PREFERRED: self.files[PREFERRED]})
        paths = " or ".join(f"{str(file)!r}" for file in self.files.values())
        raise DataError(f"{self.folder}: split in several ways, say which: {paths}")


def find_layout(path: Path) -> Layout | None:
    """What a folder holds, or what a refs file in it stands for; None where that is no published data set."""
    if found := _REFS.fullmatch(path.name):
        return Layout(path.parent, "refer", {found["variant"]: path})
    if not os.path.isdir(path):  # noqa: PTH112  (unlike Path.is_dir it never raises)
        return None
    try:
        # In this order JSON takes the place of a pickle of the same name: gRefCOCO has been published as both.
        names = sorted((item.name for item in path.iterdir()), reverse=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    refs = {found["variant"]: path / name for name in names if (found := _REFS.fullmatch(name))}
    if refs:
        return Layout(path, "refer", dict(sorted(refs.items())))
    phrases = {found["split"]: path / name for name in names if (found := _PHRASECUT.fullmatch(name))}
    return Layout(path, "phrasecut", phrases) if phrases else None
