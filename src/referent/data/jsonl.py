"""The user's own data as JSON lines: one reference to one picture a line.

    {"image": "street.jpg", "phrase": "the left car", "mask": "masks/car.png"}
    {"image": "street.jpg", "phrase": "both cars", "rle": [{"size": [H, W], "counts": "..."}, {...}], "split": "val"}
    {"image": "street.jpg", "phrase": "the bus", "mask": null}

`mask` is a picture file of two values, or null: true of nothing. `rle` (in its place) is one RLE or a list of them, one
a target. Optional: `split` (default "train"), `id` (default the line's number), `tags` (an object). Files are
named relative to the .jsonl file.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from referent.data.checking import MissingFileError, OnProblem, Problems, find_file, parse_json, read_text
from referent.data.coco_records import DEFAULT_SPLIT
from referent.data.sample import Dataset, Missing, Sample
from referent.errors import DataError, ReferentError
from referent.picture import picture_size, read_mask
from referent.reference import Phrase, Reference
from referent.rle import RLE, BadMaskError, encode, read_segmentation


def read_jsonl(
    path: Path,
    *,
    split: str | None = None,
    pictures: Path | None = None,
    on_problem: OnProblem = "raise",
    allow_missing: bool = False,
) -> Dataset:
    """A .jsonl file, checked throughout; mask files are read, of pictures only the headers.

    Args:
        path: the file.
        split: only the lines of this split are checked and kept.
        pictures: folder of the pictures; otherwise the file's own, then `images/` in it. Masks are always looked for
            in the file's own folder, then in `masks/` in it.
        on_problem: "raise", or "skip" to leave out wrong lines and go on (`problems`, and a warning in the log).
        allow_missing: pictures may be missing; lines about them are left out and counted in `Dataset.missing`.

    Raises:
        DataError: no such split, or, unless skipped, the list of all that is wrong, by line.
    """
    folder = path.resolve().parent
    reader = _Lines(
        picture_folders=[pictures.resolve()] if pictures else [folder, folder / "images"],
        mask_folders=[folder, folder / "masks"],
    )
    problems = Problems(path, on_problem)
    samples: dict[str, Sample] = {}
    splits: dict[str, None] = {}
    without_picture: Counter[str] = Counter()
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            record = _record(line)
            own = record.get("split", DEFAULT_SPLIT)
            splits[str(own)] = None
            if split is not None and own != split:
                continue
            sample = reader.sample(record, number)
            if sample.id in samples:
                raise DataError(f"duplicate id {sample.id!r}")
            samples[sample.id] = sample
        except (ReferentError, BadMaskError) as error:
            if allow_missing and isinstance(error, _NoPictureError):
                without_picture[record["image"]] += 1
            else:
                problems.add(where, str(error))
    found = problems.settle()
    if split is not None and split not in splits:
        raise DataError(f"{path}: no split {split!r}; there are: {', '.join(splits) or 'no lines at all'}")
    missing = Missing(len(without_picture), without_picture.total())
    return Dataset(f"{folder.name}/{path.name}", list(samples.values()), found, missing)


class _NoPictureError(DataError):
    """The picture of a line is not there."""


class _Lines:
    """Turns records into samples; remembers pictures and masks that several lines name."""

    def __init__(self, picture_folders: list[Path], mask_folders: list[Path]) -> None:
        self.picture_folders, self.mask_folders = picture_folders, mask_folders
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._masks: dict[tuple[Path, tuple[int, int]], RLE] = {}

    def sample(self, record: dict[str, Any], number: int) -> Sample:
        name, split, tags = record.get("id", number), record.get("split", DEFAULT_SPLIT), record.get("tags", {})
        if type(name) not in (int, str):
            raise DataError(f"`id`: expected text or a whole number, found {name!r}")
        if not isinstance(split, str):
            raise DataError(f"`split`: expected text, found {split!r}")
        if not isinstance(tags, dict):
            raise DataError(f"`tags`: expected an object, found {tags!r}")
        reference = Reference(phrase=Phrase(_field(record, "phrase")))
        picture, size = self._picture(_field(record, "image"))
        targets = self._targets(record, size)
        return Sample(str(name), picture, size, reference, targets, split, {key: str(tags[key]) for key in tags})

    def _picture(self, name: Any) -> tuple[Path, tuple[int, int]]:
        try:
            path = find_file(name, self.picture_folders)
        except MissingFileError as error:
            raise _NoPictureError(str(error)) from None
        if path not in self._sizes:
            self._sizes[path] = picture_size(path)
        return path, self._sizes[path]

    def _targets(self, record: dict[str, Any], size: tuple[int, int]) -> tuple[RLE, ...]:
        if ("mask" in record) == ("rle" in record):
            raise DataError('expected `mask` (a file, or null for "true of nothing") or `rle`, and not both')
        if "rle" in record:
            rles = record["rle"]
            listed = rles if isinstance(rles, list) else [rles]
            if not all(isinstance(rle, dict) for rle in listed):
                raise DataError("`rle`: expected {size, counts} or a list of such, one a target")
            return tuple(read_segmentation(rle, size) for rle in listed)
        if record["mask"] is None:
            return ()
        path = find_file(record["mask"], self.mask_folders)
        key = path, size
        if key not in self._masks:
            mask = read_mask(path, size)
            if not mask.any():
                raise DataError(f'{path}: empty mask; for "true of nothing" write null')
            self._masks[key] = encode(mask)
        return (self._masks[key],)


def _record(line: str) -> dict[str, Any]:
    try:
        record = parse_json(line, "")
    except DataError as error:
        # The line's number is said by the caller; within a line only the column helps.
        raise DataError(str(error).removeprefix(": line 1, ").removeprefix(": ")) from None
    if not isinstance(record, dict):
        raise DataError(f"expected an object {{...}}, found {type(record).__name__}")
    return record


def _field(record: dict[str, Any], key: str) -> Any:
    if key not in record:
        raise DataError(f"no `{key}`; the line has {', '.join(map(repr, record)) or 'nothing'}")
    return record[key]
