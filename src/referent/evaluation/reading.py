"""Result files and their predictions, read back for what compares and shows them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from referent.errors import DataError
from referent.evaluation import predictions
from referent.evaluation.metrics import Bools, Floats, Ints
from referent.evaluation.predictions import Header
from referent.evaluation.result import FORMAT, Result
from referent.rle import RLE


@dataclass(frozen=True)
class Predictions:
    """What a prediction file says of N phrases, without the masks.

    Attributes:
        header: of the whole file.
        ids, phrases, pictures, tags: (N,) of each phrase, in the file's order; `pictures` are paths.
        present: (N,) the phrase is true of something.
        found: (N,) the model says that it found it.
        score: (N,) see `Segmentation.score`.
        pixels: (N,) of the picture.
        counts: for each "name/version" of a protocol (N, 3): intersection, union, pixels of the answer; -1 where its
            numbers leave the phrase out.
    """

    header: Header
    ids: tuple[str, ...]
    phrases: tuple[str, ...]
    pictures: tuple[str, ...]
    tags: tuple[Mapping[str, str], ...]
    present: Bools
    found: Bools
    score: Floats
    pixels: Ints
    counts: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.ids)


def read_result(path: Path) -> Result:
    """A result file, as `evaluate` returned it; paths in it that were relative to the file are made whole.

    Raises:
        DataError: missing, not a result, or of another version of the format; the field is named.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: expected a result written by `referent evaluate --out`, found no JSON") from error
    if isinstance(content, dict) and "video_format" in content:
        raise DataError(f"{path}: a result on videos; `referent compare` takes it beside others on videos")
    if not isinstance(content, dict) or "scores" not in content:
        raise DataError(f"{path}: expected a result written by `referent evaluate --out`")
    if content.get("format") != FORMAT:
        raise DataError(
            f"{path}: expected a result of format {FORMAT}, found {content.get('format')!r}; "
            "evaluate again with this version of referent"
        )
    try:
        result = TypeAdapter(Result).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {place}: {first['msg']}; evaluate again with this version of referent") from error
    return result.at(lambda file: str(path.parent / file))


def read_predictions(result: Result, name: str) -> Predictions:
    """The predictions that a result was counted from.

    Args:
        result: of `read_result` or `evaluate`.
        name: of its file, for messages.

    Raises:
        DataError: none were saved, the file is missing or broken, or holds another run's.
    """
    path = saved_at(result, name)
    header = predictions.read_header(path)
    for item in ("model", "weights_sha256", "dataset", "split"):
        if getattr(header, item) != getattr(result, item):
            raise DataError(
                f"{path}: expected the predictions of {name}, found another run's ({item} {getattr(header, item)!r}, "
                f"there {getattr(result, item)!r}); evaluate again with --save"
            )
    try:
        rows = {line["id"]: line for line in map(_slim, predictions.read(path))}.values()
        if not rows:
            raise DataError(f"{path}: no predictions in it; evaluate again with --save")
        none = (-1, -1, -1)
        counts = {key: np.array([row["counts"].get(key, none) for row in rows], float) for key in header.protocols}
        return Predictions(
            header,
            tuple(str(row["id"]) for row in rows),
            tuple(str(row["phrase"]) for row in rows),
            tuple(str(row["picture"]) for row in rows),
            tuple({str(tag): str(value) for tag, value in row["tags"].items()} for row in rows),
            np.array([row["present"] for row in rows], dtype=bool),
            np.array([row["found"] for row in rows], dtype=bool),
            np.array([row["score"] for row in rows], dtype=float),
            np.array([row["pixels"] for row in rows], dtype=np.int64),
            counts,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: expected predictions written by `referent evaluate --save`: {error!r}") from error


def read_masks(result: Result, name: str, ids: Collection[str]) -> dict[str, RLE]:
    """The masks of some phrases that `read_predictions` knows, by id, at the model's own threshold."""
    wanted = frozenset(ids)
    return {line["id"]: line["rle"] for line in predictions.read(saved_at(result, name)) if line["id"] in wanted}


def saved_at(result: Result, name: str) -> Path:
    """The prediction file of a result.

    Raises:
        DataError: the result has none, or it is not there.
    """
    if result.predictions is None:
        raise DataError(
            f"{name}: has numbers only, no predictions; evaluate again with --save FILE, which keeps what every phrase "
            "was answered"
        )
    path = Path(result.predictions)
    if not path.is_file():
        raise DataError(f"{name}: its predictions are not at {path}; move them back, or evaluate again with --save")
    return path


def _slim(line: dict[str, Any]) -> dict[str, Any]:
    """Without its mask: those of a whole data set would not fit."""
    height, width = line["rle"]["size"]
    return {"pixels": height * width, **{key: value for key, value in line.items() if key != "rle"}}
