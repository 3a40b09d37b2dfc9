"""What a folder of a published data set holds, told by its file names."""

from __future__ import annotations

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
        files: of "refer" by the name of the splitting ("unc", "umd", "google", ...); of "phrasecut" by split.
    """

    folder: Path
    kind: Literal["refer", "phrasecut"]
    files: dict[str, Path]

    def variant(self, asked: str | None) -> str:
        """The splitting to read.

        Raises:
            DataError: there are several and none is asked for, or not the one asked for.
        """
        if self.kind == "phrasecut":
            if asked is not None:
                raise DataError(f"{self.folder}: PhraseCut is split in one way only, found variant {asked!r}")
            return ""
        there = ", ".join(sorted(self.files))
        if asked is not None:
            if asked not in self.files:
                raise DataError(f"{self.folder}: no variant {asked!r}; there are: {there}")
            return asked
        if len(self.files) == 1:
            return next(iter(self.files))
        if PREFERRED in self.files:
            return PREFERRED
        raise DataError(f"{self.folder}: split in several ways, say which variant: {there}")


def find_layout(folder: Path) -> Layout | None:
    """What the folder holds, None where it is no published data set."""
    try:
        names = sorted(item.name for item in folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None
    # gRefCOCO may lie there as JSON and as a pickle; the later, JSON, comes from its newer releases.
    refs = {found["variant"]: folder / name for name in reversed(names) if (found := _REFS.fullmatch(name))}
    if refs:
        return Layout(folder, "refer", refs)
    phrases = {found["split"]: folder / name for name in names if (found := _PHRASECUT.fullmatch(name))}
    return Layout(folder, "phrasecut", phrases) if phrases else None
