"""COCO files with phrases."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_data import SIZE, block, save_picture

from referent.data.coco import CocoPhrase, coco_dataset, read_coco, write_coco_with_phrases
from referent.data.loading import open_dataset
from referent.errors import DataError
from referent.rle import decode, encode

Change = Callable[[dict[str, Any]], object]
CocoFile = Callable[..., Path]


# Reading


def test_images_annotations_and_categories_are_read(coco_file: CocoFile) -> None:
    coco = read_coco(coco_file())
    assert {image.id: (image.path.name, image.size, image.split) for image in coco.images.values()} == {
        1: ("one.png", SIZE, "train"),
        2: ("two.png", SIZE, "val"),
    }
    assert {key: [member.id for member in members] for key, members in coco.annotations.items()} == {
        1: [10, 11],
        2: [12],
    }
    assert coco.categories == {3: "cat", 4: "dog"}
    assert (coco.annotations[1][1].category_id, coco.annotations[1][1].crowd) == (3, False)
    assert coco.annotations[2][0].crowd
    assert coco.problems == ()


def test_a_file_without_phrases_is_read_all_the_same(coco_file: CocoFile) -> None:
    def without(content: dict[str, Any]) -> None:
        del content["phrases"]
        for annotation in content["annotations"]:
            del annotation["phrases"]

    coco = read_coco(coco_file(without))
    assert coco.phrases == ()
    with pytest.raises(DataError, match=r"no phrases.*`referent describe` writes them"):
        coco_dataset(coco)


def test_phrases_become_samples_of_one_target_several_and_none(coco_file: CocoFile) -> None:
    dataset = open_dataset(coco_file())
    found = {sample.id: (str(sample.reference), len(sample.targets), sample.split) for sample in dataset.samples}
    assert found == {
        "10.0": ("the left cat", 1, "train"),
        "10.1": ("the cat at the left", 1, "train"),
        "11.0": ("the right cat", 1, "train"),
        "12.0": ("the dog", 1, "val"),
        "p1": ("both cats", 2, "train"),
        "p2": ("the dog", 0, "train"),
    }
    samples = {sample.id: sample for sample in dataset.samples}
    assert (samples["p1"].mask() == block(2, 3) | block(2, 20)).all()
    assert samples["p1"].tags == {"kind": "plural", "same_class": "2"}
    assert samples["10.0"].tags == {"name": "cat", "same_class": "2"}
    assert samples["12.0"].tags == {"name": "dog"}, "a crowd is not counted"
    assert samples["p2"].tags == {}
    assert not samples["p2"].mask().any()


def test_boxes_of_annotations_come_with_their_phrases(coco_file: CocoFile) -> None:
    def boxed(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = [0.5, 1.25, 3, 2]

    samples = open_dataset(coco_file(boxed)).samples
    assert {sample.id: sample.boxes for sample in samples}["10.0"] == ((0.5, 1.25, 3, 2),)

    def broken(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = "left"

    with pytest.raises(DataError, match=r"annotation 10: `bbox`: expected \[x, y, width, height\], found 'left'"):
        read_coco(coco_file(broken))


def test_polygons_and_plain_rle_are_converted(coco_file: CocoFile) -> None:
    def plain(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = {"size": list(SIZE), "counts": [0, 5, 595]}

    coco = read_coco(coco_file(plain))
    assert decode(coco.annotations[1][0].mask).sum() == 5
    expected = np.zeros(SIZE, dtype=bool)
    expected[1:9, 1:9] = True
    assert (decode(coco.annotations[2][0].mask) == expected).all()


def test_polygons_that_overlap_are_a_union_or_have_a_hole_as_it_is_asked(coco_file: CocoFile) -> None:
    def overlapping(content: dict[str, Any]) -> None:
        content["annotations"][0]["segmentation"] = [[0, 0, 8, 0, 8, 8, 0, 8], [4, 4, 12, 4, 12, 12, 4, 12]]
        content["phrases"][0]["annotation_ids"] = [10, 11]

    samples = {sample.id: sample for sample in open_dataset(coco_file(overlapping)).samples}
    for name in ("10.0", "p1"):
        assert (samples[name].mask() & ~samples[name].mask("once")).sum() == 16
    assert not samples["11.0"].polygons


def test_only_the_split_asked_for_is_read(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file()
    (tmp_path / "one.png").unlink()  # of the other split
    assert [sample.id for sample in open_dataset(path, "val").samples] == ["12.0"]


def test_a_split_that_does_not_exist_is_told_those_that_do(coco_file: CocoFile) -> None:
    with pytest.raises(DataError, match=r"data\.json: no split 'test'; there are: train, val"):
        open_dataset(coco_file(), "test")


def test_pictures_without_a_split_are_for_training(coco_file: CocoFile) -> None:
    path = coco_file(lambda content: [image.pop("split") for image in content["images"]])
    assert len(open_dataset(path, "train").samples) == 6


def test_pictures_are_found_in_images_or_in_the_folder_named(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file(folder="images")
    assert read_coco(path).images[1].path == tmp_path / "images" / "one.png"
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert read_coco(path, pictures=tmp_path / "elsewhere").images[1].path == tmp_path / "elsewhere" / "one.png"
    with pytest.raises(DataError, match="no such file"):
        read_coco(path)


def test_a_picture_turned_by_exif_has_its_upright_size(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 30)).save(tmp_path / "one.png", exif=exif)
    assert read_coco(path).images[1].size == SIZE


def test_pictures_are_not_decoded(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file()
    noise = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "one.png")
    (tmp_path / "one.png").write_bytes((tmp_path / "one.png").read_bytes()[:200])
    assert read_coco(path).images[1].size == SIZE


# What is wrong with a file


def edit(kind: str, position: int, **fields: object) -> Change:
    return lambda content: content[kind][position].update(fields)


def add(kind: str, **fields: object) -> Change:
    return lambda content: content[kind].append(fields)


def repeat(kind: str) -> Change:
    return lambda content: content[kind].append(content[kind][0])


EMPTY = encode(np.zeros(SIZE, dtype=bool))
OTHER = encode(block(2, 3, (30, 20)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (edit("images", 0, file_name="gone.png"), r"image 1: no such file: /\S+/gone\.png, nor in /\S+/images"),
        (edit("images", 0, file_name="data.json"), r"image 1: /\S+/data\.json: expected a picture"),
        (edit("images", 0, file_name=None), "image 1: file name: expected text, found None"),
        (edit("images", 0, width=31), r"image 1: .*one\.png: height x width is 20 x 30 .* the file says 20 x 31"),
        (edit("images", 0, width="30"), "image 1: `height`, `width`: expected whole numbers above 0, found 20, '30'"),
        (edit("images", 0, split=["train"]), "image 1: `split`: expected text"),
        (repeat("images"), "image 1: duplicate id"),
        (repeat("annotations"), "annotation 10: duplicate id"),
        (repeat("categories"), "category 3: duplicate id"),
        (repeat("phrases"), "phrase 1: duplicate id"),
        (add("categories", id=9, name=""), "category 9: `name`: expected text"),
        (edit("annotations", 0, image_id=99), "annotation 10: `image_id` 99 is no image of the file"),
        (edit("annotations", 0, image_id=[1]), r"annotation 10: `image_id` \[1\] is no image"),
        (edit("annotations", 0, category_id=99), "annotation 10: `category_id` 99 is no category of the file"),
        (edit("annotations", 0, segmentation=EMPTY), "annotation 10: empty mask"),
        (edit("annotations", 0, segmentation=OTHER), r"annotation 10: RLE of size \[30, 20\], expected \[20, 30\]"),
        (edit("annotations", 0, segmentation=[[1, 1]]), "annotation 10: polygon: expected"),
        (edit("annotations", 0, phrases=["  "]), "annotation 10: phrase: expected words, found '  ' .blank."),
        (edit("annotations", 0, phrases="the cat"), "annotation 10: `phrases`: expected a list, found str"),
        (edit("annotations", 0, phrases=[7]), "annotation 10: phrase: expected text, found int"),
        (add("annotations", id="ten"), "annotation at 3: expected an object with a whole number `id`, found 'ten'"),
        (edit("phrases", 0, phrase=""), "phrase 1: phrase: expected words"),
        (edit("phrases", 0, image_id=99), "phrase 1: `image_id` 99 is no image"),
        (edit("phrases", 0, annotation_ids=[99]), "phrase 1: `annotation_ids`: 99 is no annotation of image 1"),
        (edit("phrases", 0, annotation_ids=[12]), "phrase 1: `annotation_ids`: 12 is no annotation of image 1"),
        (
            edit("phrases", 0, annotation_ids=None),
            "phrase 1: `annotation_ids`: expected a list .empty: true of",
        ),
        (edit("phrases", 0, annotation_ids=[10, 10]), "phrase 1: `annotation_ids`: the same annotation twice"),
        (edit("phrases", 0, tags=["plural"]), "phrase 1: `tags`: expected an object"),
        (edit("phrases", 0, id=None), "phrase at 0: expected an object with an `id`"),
        (lambda content: content["annotations"].append(5), "annotation at 3: expected an object"),
    ],
)
def test_each_mistake_is_named_and_can_be_skipped(coco_file: CocoFile, change: Change, problem: str) -> None:
    path = coco_file(change)
    with pytest.raises(DataError, match=rf"(?s)data\.json: 1 problem\n  {problem}"):
        open_dataset(path)
    kept = open_dataset(path, on_problem="skip")
    assert "12.0" in {sample.id for sample in kept.samples}


def test_what_refers_to_something_left_out_is_left_out_too(coco_file: CocoFile) -> None:
    path = coco_file(edit("annotations", 0, segmentation=EMPTY))
    # "both cats" must not become a phrase of the other cat alone.
    assert {sample.id for sample in open_dataset(path, on_problem="skip").samples} == {"11.0", "12.0", "p2"}
    path = coco_file(edit("images", 0, file_name="gone.png"))
    assert {sample.id for sample in open_dataset(path, on_problem="skip").samples} == {"12.0"}


def test_skipped_problems_are_reported(coco_file: CocoFile, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        coco = read_coco(coco_file(edit("annotations", 0, segmentation=EMPTY)), on_problem="skip")
    assert coco.problems == ("annotation 10: empty mask",)
    assert "1 problem, left out\n  annotation 10: empty mask" in caplog.text


def test_many_problems_are_listed_up_to_twenty_and_counted(coco_file: CocoFile) -> None:
    def many(content: dict[str, Any]) -> None:
        content["annotations"] += [{"id": number} for number in range(100, 150)]

    with pytest.raises(DataError) as caught:
        read_coco(coco_file(many))
    lines = str(caught.value).splitlines()
    assert "50 problems" in lines[0]
    assert len(lines) == 22
    assert lines[-1] == "  ... and 30 more"


def test_nothing_usable_is_an_error_even_when_skipping(coco_file: CocoFile) -> None:
    path = coco_file(lambda content: [image.update(file_name="gone.png") for image in content["images"]])
    with pytest.raises(DataError, match="no usable samples"):
        open_dataset(path, on_problem="skip")


# Writing


def test_phrases_are_written_and_everything_else_stays(coco_file: CocoFile, tmp_path: Path) -> None:
    coco = read_coco(coco_file())
    phrases = [CocoPhrase("x", 2, "no cat", (), {"kind": "absent"}), CocoPhrase("y", 2, "the dogs", (12,))]
    out = tmp_path / "described.json"
    write_coco_with_phrases(out, coco, phrases, {11: ["the cat on the right"]})
    written = json.loads(out.read_text())
    assert written["info"] == {"description": "a test"}
    assert written["images"] == coco.content["images"]
    samples = {sample.id: str(sample.reference) for sample in open_dataset(out).samples}
    assert samples == {"11.0": "the cat on the right", "px": "no cat", "py": "the dogs"}


def test_written_into_another_folder_the_pictures_are_still_found(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file(folder="images")
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "described.json"
    # The picture of the other split is not read, and yet keeps its place.
    write_coco_with_phrases(out, read_coco(path, split="val"), [CocoPhrase(1, 2, "the dog", (12,))])
    assert [sample.id for sample in open_dataset(out).samples] == ["p1"]
    assert json.loads(out.read_text())["images"][0]["file_name"] == "../images/one.png"


def test_phrases_of_any_script_survive(coco_file: CocoFile, tmp_path: Path) -> None:
    texts = ["左边的猫", "le chat à gauche", "the 🐈"]
    write_coco_with_phrases(tmp_path / "out.json", read_coco(coco_file()), [], {10: texts})
    assert [str(sample.reference) for sample in open_dataset(tmp_path / "out.json").samples] == texts


def test_a_picture_larger_than_the_limit_is_a_problem_of_the_file(coco_file: CocoFile, tmp_path: Path) -> None:
    path = coco_file()
    save_picture(tmp_path / "one.png", (2, 3))
    with pytest.raises(DataError, match="height x width is 2 x 3"):
        read_coco(path)
