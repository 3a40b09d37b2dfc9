"""What CRIS's and ETRIS's data preparation leaves behind before its LMDB, as JSON lines.

`anns/<data set>/<split>.json` is a list of {segment_id, img_name, sentences: [{sent_id, sent}]}, and
`masks/<data set>/<segment_id>.png` the object's mask. The LMDB itself holds records of a pyarrow that is gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from referent.data.checking import Problems, find_file
from referent.data.published.json_files import read_json
from referent.errors import DataError, PictureError
from referent.files import atomic_write
from referent.picture import picture_size, read_picture
from referent.rle import RLE, encode


class _Sentence(msgspec.Struct):
    sent_id: int
    sent: str


class _Ref(msgspec.Struct):
    segment_id: int
    img_name: str
    sentences: list[_Sentence]


def write_lines(annotations: list[Path], masks: Path, pictures: Path, out: Path) -> int:
    """One line a sentence, readable by `open_dataset`; atomic. The ids are those of the published refs files.

    Args:
        annotations: files `anns/<data set>/<split>.json`; the split is the file's name.
        masks: the folder `masks/<data set>`.
        pictures: folder of COCO's train2014.
        out: the .jsonl file; its folder exists.

    Returns:
        How many sentences were written.

    Raises:
        DataError: a file of another kind, or the list of all refs whose mask or picture is missing or does not fit.
    """
    lines: list[str] = []
    for path in annotations:
        refs: list[_Ref] = read_json(path, list[_Ref], "a list of refs as CRIS's preparation writes it")
        problems = Problems(path, "raise")
        for ref in refs:
            try:
                lines += _lines(ref, path.stem, masks, pictures, out.resolve().parent)
            except (DataError, PictureError) as error:
                problems.add(f"ref {ref.segment_id}", str(error))
        problems.settle()
    atomic_write(out, "".join(lines))
    return len(lines)


def _lines(ref: _Ref, split: str, masks: Path, pictures: Path, folder: Path) -> Iterator[str]:
    picture = find_file(ref.img_name, [pictures.resolve()])
    rle = _mask(masks / f"{ref.segment_id}.png", picture_size(picture))
    for sentence in ref.sentences:
        record = {
            "id": f"{ref.segment_id}.{sentence.sent_id}",
            "image": Path(os.path.relpath(picture, folder)).as_posix(),
            "phrase": sentence.sent,
            "rle": rle,
            "split": split,
            "tags": {"ref": str(ref.segment_id)},
        }
        yield json.dumps(record, ensure_ascii=False) + "\n"


def _mask(path: Path, size: tuple[int, int]) -> RLE:
    # Not `read_mask`: where polygons overlap these files hold 254 beside 255, and all that is not 0 is the object.
    mask = np.asarray(read_picture(path)).any(axis=2)
    if mask.shape != size:
        raise DataError(f"{path}: {mask.shape[1]} x {mask.shape[0]}, its picture {size[1]} x {size[0]}")
    if not mask.any():
        raise DataError(f"{path}: empty mask")
    return encode(mask)
