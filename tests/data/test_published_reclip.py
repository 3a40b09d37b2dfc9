"""Expressions for ReCLIP's official code, read back as that code is described to read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_data import PERSON, annotation, instances, ref, write_grefs, write_refer

from referent.data.loading import open_dataset

OBJECTS = [
    {**annotation(101, 11), "bbox": [10.25, 4.0, 8.0, 7.5]},
    {**annotation(102, 11), "bbox": [20, 4, 8, 8]},
    {**annotation(109, 11), "iscrowd": 1},
    annotation(104, 13, PERSON),
]
REFS = [
    ref(1, 11, 101, "val", ["The left cat.", "cat at left"]),
    ref(2, 11, 102, "val", ["right cat!"]),
    ref(4, 13, 104, "testA", ["man in black"]),
]


def official_file_name(name: str) -> str:
    return "_".join(name.split("_")[:-1]) + ".jpg" if "coco" in name.lower() else name


def test_every_object_is_a_line_with_all_boxes_of_its_picture_and_its_sentences(run, tmp_path: Path) -> None:
    folder, out = write_refer(tmp_path / "refcoco", REFS, OBJECTS), tmp_path / "refcoco_val.jsonl"
    ended = run("data", "to-reclip", folder, "--split", "val", "--out", out)
    assert ended.code == 0, ended.err
    assert "objects: 2, expressions: 3" in ended.out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    samples = {sample.tags["ref"]: sample for sample in open_dataset(folder, "val", wording="raw").samples}
    for line, own in zip(lines, ("1", "2"), strict=True):
        assert official_file_name(line["file_name"]) == samples[own].picture.name
        gold = [box["bbox"] for box in line["anns"] if box["id"] == line["ann_id"]]
        assert gold == [list(samples[own].boxes[0])]
        assert [box["id"] for box in line["anns"]] == [101, 102, 109]
    assert [sentence["raw"] for sentence in lines[0]["sentences"]] == ["The left cat.", "cat at left"]
    assert lines[0]["image_id"] == 11


def test_other_pictures_keep_their_names_and_several_targets_are_a_list(run, tmp_path: Path) -> None:
    refs = [ref(1, 11, [101, 102], "val", ["people"]), ref(2, 11, [-1], "val", ["a zebra"])]
    folder, out = write_grefs(tmp_path / "refgta", refs, OBJECTS), tmp_path / "val.jsonl"
    content = instances([11, 13], OBJECTS)
    content["images"][0]["file_name"] = "black_wearing/some_place_7.png"
    (folder / "instances.json").write_text(json.dumps(content))
    assert "left out: 1, true of nothing" in run("data", "to-reclip", folder, "--out", out).out
    (line,) = map(json.loads, out.read_text().splitlines())
    assert line["file_name"] == "black_wearing/some_place_7.png"
    assert line["ann_id"] == [101, 102]


@pytest.mark.parametrize(
    ("refs", "objects", "message"),
    [
        ([ref(1, 11, 999, "val", ["x"])], OBJECTS, "ref 1: `ann_id` 999 is no annotation of image 11"),
        ([ref(1, 11, 101, "val", ["x"])], [{**OBJECTS[0], "bbox": [0, 0, 0, 0]}], "with a `bbox` in instances.json"),
        ([ref(1, 11, 101, "val", ["x"])], [{**OBJECTS[0], "bbox": 7}], "annotation 101: `bbox`: expected"),
        ([ref(1, 11, 101, "val", [" "])], OBJECTS, "sentence: expected {sent_id, raw, sent}"),
        ([ref(1, 11, 101, "train", ["x"])], OBJECTS, "no split 'val'; there are: train"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_is_written(
    run, tmp_path: Path, refs: list, objects: list, message: str
) -> None:
    folder, out = write_refer(tmp_path / "refcoco", refs, objects), tmp_path / "val.jsonl"
    ended = run("data", "to-reclip", folder, "--out", out)
    assert (ended.code, message in ended.err) == (2, True), ended.err
    assert not out.exists()


def test_other_data_is_refused(run, tmp_path: Path) -> None:
    ended = run("data", "to-reclip", tmp_path, "--out", tmp_path / "val.jsonl")
    assert (ended.code, "expected a folder with refs" in ended.err) == (2, True)
