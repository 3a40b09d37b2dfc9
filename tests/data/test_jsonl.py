"""The user's own data as JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_data import SIZE, block, save_picture

from referent.data.loading import open_dataset
from referent.errors import DataError
from referent.rle import encode

LinesFile = Callable[..., Path]
LEFT, RIGHT = encode(block(2, 3)), encode(block(2, 20))
TAGS = {"kind": "side"}


def test_masks_come_from_a_file_from_rle_from_several_rles_or_are_null(lines_file: LinesFile) -> None:
    path = lines_file(
        {"image": "one.png", "phrase": "the left cat", "mask": "mask.png"},
        {
            "image": "one.png",
            "phrase": "the right cat",
            "rle": RIGHT,
            "id": "r",
            "split": "val",
            "tags": {"kind": "side"},
        },
        "",
        {"image": "one.png", "phrase": "both", "rle": [LEFT, {"size": list(SIZE), "counts": [0, 5, 595]}]},
        {"image": "one.png", "phrase": "the dog", "mask": None},
        {"image": "one.png", "phrase": "the bird", "rle": []},
    )
    samples = open_dataset(path).samples
    assert [(sample.id, len(sample.targets), sample.split) for sample in samples] == [
        ("1", 1, "train"),
        ("r", 1, "val"),
        ("4", 2, "train"),
        ("5", 0, "train"),
        ("6", 0, "train"),
    ]
    assert (samples[0].mask() == block(2, 3)).all()
    assert (samples[1].mask() == block(2, 20)).all()
    assert samples[1].tags == TAGS
    assert samples[0].size == SIZE
    assert len({sample.picture for sample in samples}) == 1


def test_pictures_and_masks_are_found_in_their_usual_folders(lines_file: LinesFile, tmp_path: Path) -> None:
    path = lines_file({"image": "far.png", "phrase": "it", "mask": "far.png"})
    save_picture(tmp_path / "images" / "far.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(block(2, 3)).save(tmp_path / "masks" / "far.png")
    assert open_dataset(path).samples[0].picture == tmp_path / "images" / "far.png"
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert open_dataset(path, pictures=tmp_path / "elsewhere").samples[0].picture.parent.name == "elsewhere"


def test_only_the_split_asked_for_is_read(lines_file: LinesFile) -> None:
    path = lines_file(
        {"image": "gone.png", "phrase": "a", "mask": None},
        {"image": "one.png", "phrase": "b", "mask": None, "split": "val"},
    )
    assert [str(sample.reference) for sample in open_dataset(path, "val").samples] == ["b"]
    with pytest.raises(DataError, match="no split 'test'; there are: train, val"):
        open_dataset(path, "test")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"image": "one.png", "phrase": ', "line 2: column 32: broken JSON"),
        ("[" * 100_000, "line 2: broken JSON .nested too deeply."),
        ("[1]", "line 2: expected an object {...}, found list"),
        ({"phrase": "a", "mask": None}, "line 2: no `image`; the line has 'phrase', 'mask'"),
        ({"image": "one.png", "mask": None}, "line 2: no `phrase`"),
        ({"image": "one.png", "phrase": "a"}, "line 2: expected `mask` .* or `rle`, and not both"),
        ({"image": "one.png", "phrase": "a", "mask": None, "rle": LEFT}, "line 2: expected `mask` .* and not both"),
        ({"image": "gone.png", "phrase": "a", "mask": None}, r"line 2: no such file: /\S+/gone\.png"),
        ({"image": "data.jsonl", "phrase": "a", "mask": None}, r"line 2: /\S+/data\.jsonl: expected a picture"),
        ({"image": "one.png", "phrase": " ", "mask": None}, "line 2: phrase: expected words"),
        ({"image": "one.png", "phrase": 5, "mask": None}, "line 2: phrase: expected text, found int"),
        ({"image": ["one.png"], "phrase": "a", "mask": None}, "line 2: file name: expected text, found .'one.png'."),
        ({"image": "one.png", "phrase": "a", "mask": "gone.png"}, r"line 2: no such file: /\S+/gone\.png"),
        ({"image": "one.png", "phrase": "a", "mask": "empty.png"}, r"line 2: /\S+/empty\.png: empty mask"),
        (
            {"image": "one.png", "phrase": "a", "mask": "small.png"},
            "line 2: .*expected a mask of 20 x 30 .* found 2 x 3",
        ),
        ({"image": "one.png", "phrase": "a", "rle": "abc"}, "line 2: `rle`: expected"),
        ({"image": "one.png", "phrase": "a", "rle": [[1, 2, 3, 4, 5, 6]]}, "line 2: `rle`: expected"),
        ({"image": "one.png", "phrase": "a", "rle": {"size": [30, 20], "counts": "0"}}, "line 2: RLE of size"),
        ({"image": "one.png", "phrase": "a", "mask": None, "id": "1"}, "line 2: duplicate id '1'"),
        ({"image": "one.png", "phrase": "a", "mask": None, "id": [1]}, "line 2: `id`: expected"),
        ({"image": "one.png", "phrase": "a", "mask": None, "split": 1}, "line 2: `split`: expected text"),
        ({"image": "one.png", "phrase": "a", "mask": None, "tags": "x"}, "line 2: `tags`: expected an object"),
    ],
)
def test_each_mistake_is_named_by_its_line_and_can_be_skipped(
    lines_file: LinesFile, tmp_path: Path, line: object, problem: str
) -> None:
    path = lines_file({"image": "one.png", "phrase": "the cat", "rle": LEFT}, line)
    Image.fromarray(np.zeros(SIZE, dtype=bool)).save(tmp_path / "empty.png")
    Image.fromarray(np.eye(2, 3, dtype=bool)).save(tmp_path / "small.png")
    with pytest.raises(DataError, match=rf"data\.jsonl: 1 problem\n  {problem}"):
        open_dataset(path)
    assert [sample.id for sample in open_dataset(path, on_problem="skip").samples] == ["1"]
