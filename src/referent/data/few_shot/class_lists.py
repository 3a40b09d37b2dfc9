"""Lists of class names: the folds of PASCAL-5i and COCO-20i, and what a user writes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from referent.data.checking import read_text
from referent.data.class_names import as_phrase
from referent.errors import DataError

VOC_NAMES = tuple(
    "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,sheep,"
    "sofa,train,tvmonitor".split(",")
)
"""PASCAL VOC's classes; a pixel of value k in its class masks is of the k-th, counted from 1."""

COCO_NAMES = tuple(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush".split(",")
)
"""COCO's classes by category id."""

FOLDS = 4
_FOLD = re.compile(r"@(pascal-5i|coco-20i)/(\d+)")


def pascal_fold(fold: int) -> tuple[str, ...]:
    """The 5 novel classes of a fold (0 to 3) of PASCAL-5i: 5 x fold onwards (Shaban et al., BMVC 2017)."""
    return VOC_NAMES[5 * fold : 5 * fold + 5]


def coco_fold(fold: int) -> tuple[str, ...]:
    """The 20 novel classes of a fold (0 to 3) of COCO-20i: every fourth from `fold` on (Nguyen and Todorovic, ICCV
    2019)."""
    return COCO_NAMES[fold::FOLDS]


def read_names(values: Iterable[str]) -> tuple[str, ...]:
    """Class names from what a user writes, in order, each once.

    Args:
        values: each a fold ("@coco-20i/0", "@pascal-5i/3"), a text file with a name a line, or names with commas.

    Raises:
        DataError: no such fold, a file that cannot be read, or no names at all.
    """
    names = [name for value in values for name in _named(value)]
    if not names:
        raise DataError(f"classes: expected names, a file with a name a line, or a fold, found {list(values)}")
    return tuple(dict.fromkeys(names))


def is_list(value: str) -> bool:
    """Whether this is a fold or a file, which may name classes that some data do not show."""
    if value.startswith("@"):
        return True
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # names too long for a file's
        return False


def _named(value: str) -> list[str]:
    if value.startswith("@"):
        found = _FOLD.fullmatch(value)
        if found is None or int(found[2]) >= FOLDS:
            raise DataError(f"classes: expected @pascal-5i/0 to /3 or @coco-20i/0 to /3, found {value!r}")
        return list((pascal_fold if found[1] == "pascal-5i" else coco_fold)(int(found[2])))
    parts = read_text(Path(value)).splitlines() if is_list(value) else value.split(",")
    return [name for part in parts if (name := as_phrase(part)) and not name.startswith("#")]
