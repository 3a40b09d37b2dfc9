"""What the published data sets should hold, split by split. Tables in the docs are generated from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TFDS = "TensorFlow Datasets"
"""Refs and pictures, in the catalogue's page of ref_coco. The refs are the lengths in CRIS's loader too."""

RECLIP = "ReCLIP"
"""Sentences: Subramanian et al., ACL 2022."""

QUOTED = "quoted"
"""Sentences as they are commonly quoted; not traced to a publication."""

README = "its README"


@dataclass(frozen=True)
class Count:
    """One split; None where no publication says.

    Attributes:
        refs: objects, or groups of them, that are referred to.
        sentences: phrases.
        pictures: different pictures.
        source: who says so.
    """

    refs: int | None
    sentences: int | None
    pictures: int | None
    source: str


_PAPER, _TRAIN = f"{TFDS}, {RECLIP}", f"{TFDS}, {QUOTED}"

COUNTS: Mapping[tuple[str, str], Mapping[str, Count]] = {
    ("refcoco", "unc"): {
        "train": Count(42404, 120624, 16994, _TRAIN),
        "val": Count(3811, 10834, 1500, _PAPER),
        "testA": Count(1975, 5657, 750, _PAPER),
        "testB": Count(1810, 5095, 750, _PAPER),
    },
    ("refcoco", "google"): {
        "train": Count(40000, None, 19213, TFDS),
        "val": Count(5000, None, 4559, TFDS),
        "test": Count(5000, None, 4527, TFDS),
    },
    ("refcoco+", "unc"): {
        "train": Count(42278, 120191, 16992, _TRAIN),
        "val": Count(3805, 10758, 1500, _PAPER),
        "testA": Count(1975, 5726, 750, _PAPER),
        "testB": Count(1798, 4889, 750, _PAPER),
    },
    ("refcocog", "umd"): {
        "train": Count(42226, 80512, 21899, _TRAIN),
        "val": Count(2573, 4896, 1300, _PAPER),
        "test": Count(5023, 9602, 2600, _PAPER),
    },
    ("refcocog", "google"): {
        "train": Count(44822, 85474, 24698, _TRAIN),
        "val": Count(5000, 9536, 4650, _TRAIN),
    },
    ("refgta", "utokyo"): {
        "val": Count(None, 17766, None, RECLIP),
        "test": Count(None, 17646, None, RECLIP),
    },
    ("phrasecut", ""): {
        # Its README does not tell whether the 20,316 phrases of "val" include those of "miniv", which has its own file.
        "train": Count(None, 310816, 71746, README),
        "test": Count(None, 14354, 2545, README),
        "miniv": Count(None, 821, 100, README),
    },
}
"""By (folder, variant), then by split."""
