"""Which kind of file is which, and what is neither."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from referent.data.loading import open_dataset
from referent.data.sample import Missing
from referent.errors import DataError

LINE = {"image": "one.png", "phrase": "the cat", "mask": None}
COCO_IDS = ["10.0", "10.1", "11.0", "12.0", "p1", "p2"]


def test_files_are_told_apart_by_content_not_by_name(
    coco_file: Callable[..., Path], lines_file: Callable[..., Path], tmp_path: Path
) -> None:
    coco = coco_file().read_text()
    spread = json.dumps(json.loads(coco), indent=2)
    line = lines_file(LINE).read_text()
    for name in ("a.json", "a.jsonl", "a"):
        path = tmp_path / name
        path.write_text(coco)
        assert [sample.id for sample in open_dataset(path).samples] == COCO_IDS
        path.write_text(line)
        assert [sample.id for sample in open_dataset(path).samples] == ["1"]
        path.write_text(f"\ufeff{line}\n{line}\n")
        assert len(open_dataset(path).samples) == 2
    (tmp_path / "a.json").write_text(spread)
    assert [sample.id for sample in open_dataset(tmp_path / "a.json").samples] == COCO_IDS


def test_a_data_set_is_named_after_its_file_and_folder(lines_file: Callable[..., Path]) -> None:
    path = lines_file(LINE)
    assert open_dataset(path).name == f"{path.parent.name}/data.jsonl"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "line 1, column 1: broken JSON"),
        (b'{"images": [}', "line 1, column 13: broken JSON"),
        (b'{\n "images": [],\n "annotations": oops\n}', "line 3, column 17: broken JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe{}", "expected UTF-8 text, found byte 0xff"),
        (b"[1, 2]", "expected a COCO object, found a JSON list"),
        (b'{"images": []}', "a list `annotations`, found nothing"),
        (b'{"images": {}, "annotations": [], "categories": []}', "a list `images`, found dict"),
        (b'{"images": [], "annotations": [], "categories": [], "phrases": 3}', "`phrases`: expected a list, found int"),
        (b'{"images": [], "annotations": [], "categories": []}', "no phrases"),
    ],
)
def test_what_is_no_data_file_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "data.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"data\.json.*{found}"):
        open_dataset(path)


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: no such file"):
        open_dataset(tmp_path / "gone.json")
    with pytest.raises(DataError, match=r"expected a COCO or \.jsonl file, or the folder of a published data set"):
        open_dataset(tmp_path)


def test_missing_pictures_are_counted_where_they_may_be_missing(coco_file: Callable[..., Path], tmp_path: Path) -> None:
    path = coco_file()
    (tmp_path / "one.png").unlink()
    with pytest.raises(DataError, match=r"image 1: no such file: \S+one\.png"):
        open_dataset(path)
    dataset = open_dataset(path, allow_missing=True)
    assert [sample.id for sample in dataset.samples] == ["12.0"]
    assert dataset.missing == Missing(pictures=1, phrases=5)
    assert dataset.problems == ()
    assert open_dataset(path, "val", allow_missing=True).missing == Missing()
    with pytest.raises(DataError, match="no usable samples in split 'train': 1 pictures are missing"):
        open_dataset(path, "train", allow_missing=True)


def test_lines_about_missing_pictures_are_counted_but_missing_masks_are_mistakes(
    lines_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = lines_file(LINE, {**LINE, "image": "gone.png"}, {**LINE, "image": "gone.png"})
    with pytest.raises(DataError, match=r"line 2: no such file: \S+gone\.png"):
        open_dataset(path)
    dataset = open_dataset(path, allow_missing=True)
    assert (len(dataset.samples), dataset.missing) == (1, Missing(pictures=1, phrases=2))
    path = lines_file({**LINE, "mask": "mask.png"})
    (tmp_path / "mask.png").unlink()
    with pytest.raises(DataError, match=r"line 1: no such file: \S+mask\.png"):
        open_dataset(path, allow_missing=True)


def test_an_lmdb_file_is_told_what_to_read_instead(tmp_path: Path) -> None:
    (tmp_path / "val.lmdb").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"val\.lmdb: LMDB files .* are not read: .*`referent data from-cris`"):
        open_dataset(tmp_path / "val.lmdb")


def test_an_empty_jsonl_file_has_no_samples(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="no usable samples"):
        open_dataset(tmp_path / "data.jsonl")
