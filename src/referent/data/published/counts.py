"""What the published data sets should hold, split by split. Tables in the docs are generated from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TFDS = "refs and pictures: TensorFlow Datasets' catalogue, ref_coco (refs also in CRIS's loader)"
SENTENCES = "sentences: ReCLIP (Subramanian et al., ACL 2022); those of train as commonly quoted"
QUOTED = "sentences as commonly quoted"
REFGTA = "ReCLIP (Subramanian et al., ACL 2022)"
PHRASECUT = "the data set's README"


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


_UNC = f"{TFDS}; {SENTENCES}"

COUNTS: Mapping[tuple[str, str], Mapping[str, Count]] = {
    ("refcoco", "unc"): {
        "train": Count(42404, 120624, 16994, _UNC),
        "val": Count(3811, 10834, 1500, _UNC),
        "testA": Count(1975, 5657, 750, _UNC),
        "testB": Count(1810, 5095, 750, _UNC),
    },
    ("refcoco", "google"): {
        "train": Count(40000, None, 19213, TFDS),
        "val": Count(5000, None, 4559, TFDS),
        "test": Count(5000, None, 4527, TFDS),
    },
    ("refcoco+", "unc"): {
        "train": Count(42278, 120191, 16992, _UNC),
        "val": Count(3805, 10758, 1500, _UNC),
        "testA": Count(1975, 5726, 750, _UNC),
        "testB": Count(1798, 4889, 750, _UNC),
    },
    ("refcocog", "umd"): {
        "train": Count(42226, 80512, 21899, _UNC),
        "val": Count(2573, 4896, 1300, _UNC),
        "test": Count(5023, 9602, 2600, _UNC),
    },
    ("refcocog", "google"): {
        "train": Count(44822, 85474, 24698, f"{TFDS}; {QUOTED}"),
        "val": Count(5000, 9536, 4650, f"{TFDS}; {QUOTED}"),
    },
    ("refgta", "utokyo"): {
        "val": Count(None, 17766, None, REFGTA),
        "test": Count(None, 17646, None, REFGTA),
    },
    ("phrasecut", ""): {
        # Its README does not tell whether the 20,316 phrases of "val" include those of "miniv", which has its own file.
        "train": Count(None, 310816, 71746, PHRASECUT),
        "test": Count(None, 14354, 2545, PHRASECUT),
        "miniv": Count(None, 821, 100, PHRASECUT),
    },
}
"""By (folder, variant), then by split."""
