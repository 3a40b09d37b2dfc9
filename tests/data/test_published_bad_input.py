"""What can be wrong with a published data set on disk: each mistake in one message that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_data import (
    ANNOTATIONS,
    REFS,
    annotation,
    coco_name,
    ref,
    square,
    write_grefs,
    write_phrasecut,
    write_refer,
)

from referent.data.loading import open_dataset
from referent.data.sample import Missing
from referent.errors import DataError


@pytest.fixture
def refcoco(tmp_path: Path) -> Path:
    return write_refer(tmp_path / "refcoco")


def test_a_split_that_does_not_exist_is_told_those_that_do(refcoco: Path) -> None:
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: no split 'tset'; there are: train, val, testA, testB"):
        open_dataset(refcoco, "tset")


def test_several_splittings_without_unc_must_be_told_apart(tmp_path: Path) -> None:
    folder = write_refer(tmp_path / "refcocog", variant="umd")
    write_refer(folder, variant="google")
    with pytest.raises(DataError, match=r"say which: '\S+refs\(google\)\.p' or '\S+refs\(umd\)\.p'"):
        open_dataset(folder)
    assert open_dataset(folder / "refs(umd).p").name == "refcocog/refs(umd).p"


def test_a_missing_or_truncated_pickle_is_named(refcoco: Path) -> None:
    path = refcoco / "refs(unc).p"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"refs\(unc\)\.p: cut off or damaged .* get it again"):
        open_dataset(refcoco)
    with pytest.raises(DataError, match=r"refs\(umd\)\.p: no such file"):
        open_dataset(refcoco / "refs(umd).p")


def test_missing_instances_are_named(refcoco: Path) -> None:
    (refcoco / "instances.json").unlink()
    with pytest.raises(DataError, match=r"instances\.json: no such file; it comes with refs\(unc\)\.p"):
        open_dataset(refcoco)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "cut off or broken JSON: input data was truncated"),
        ('{"images": [{"id": 1', "cut off or broken JSON: input data was truncated"),
        ('{"images": [}', "cut off or broken JSON"),
        ("[" * 100_000, "broken JSON|expected COCO"),
        ("[]", "expected COCO's images, annotations and categories: expected `object`, got `array`"),
        ('{"refs": []}', "missing required field `images`"),
        (
            '{"images": [{"id": 1, "file_name": "a", "height": "2", "width": 1}], "annotations": [], "categories": []}',
            r"expected `int`, got `str` - at `\$\.images\[0\]\.height`",
        ),
    ],
)
def test_instances_of_another_shape_are_named(refcoco: Path, content: str, found: str) -> None:
    (refcoco / "instances.json").write_text(content)
    with pytest.raises(DataError, match=rf"instances\.json: .*({found})"):
        open_dataset(refcoco)


def test_instances_of_another_data_set_are_recognised(refcoco: Path, tmp_path: Path) -> None:
    other = write_refer(tmp_path / "other" / "refcoco+", [], [annotation(900, 77)])
    (refcoco / "instances.json").write_bytes((other / "instances.json").read_bytes())
    with pytest.raises(
        DataError, match=r"holds none of the pictures that refs\(unc\)\.p is about: of another data set"
    ):
        open_dataset(refcoco)


def test_refs_of_another_data_set_are_recognised(tmp_path: Path) -> None:
    folder = write_grefs(tmp_path / "grefcoco", [{"task_id": 1, "phrase": "cat"}])
    with pytest.raises(DataError, match=r"ref at 0: expected ref_id, ann_id, .*, found task_id, phrase; other data\?"):
        open_dataset(folder)
    write_grefs(folder, {"images": []})
    with pytest.raises(DataError, match=r"expected a list of refs: expected `array`, got `object`"):
        open_dataset(folder)
    write_refer(folder, {"images": []}, variant="x")
    with pytest.raises(DataError, match="expected a list of refs, found dict"):
        open_dataset(folder / "refs(x).p")


WRONG_SIZE = {"size": [10, 10], "counts": [0, 9, 91]}
CHANGES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"ann_id": 999}, {}, "ref 3: `ann_id` 999 is no annotation of instances.json"),
    ({"ann_id": "103"}, {}, "ref 3: `ann_id` '103' is no annotation"),
    ({"ann_id": 101}, {}, "ref 3: `ann_id` 101 is of image 11, the ref of image 12"),
    ({"ann_id": []}, {}, r"ref 3: `ann_id`: expected an id or a list of them \(\[-1\]: true of nothing\), found \[\]"),
    ({"image_id": 999}, {}, "ref 3: `image_id` 999 is no image of instances.json"),
    ({"sentences": [3]}, {}, "ref 3, sentence 1: expected {sent_id, sent, raw}"),
    ({"sentences": [{"sent_id": 1, "sent": " ", "raw": " "}]}, {}, r"ref 3, sentence 1: phrase: .*\(blank\)"),
    ({"sentences": [{"sent_id": 1, "sent": 5}]}, {}, "ref 3, sentence 1: phrase: expected text, found int"),
    ({}, {"segmentation": WRONG_SIZE}, r"annotation 103: RLE of size \[10, 10\], expected \[30, 40\]"),
    ({}, {"segmentation": []}, r"annotation 103: empty mask \(no polygon\)"),
    ({}, {"segmentation": None}, "annotation 103: expected an RLE"),
    ({}, {"segmentation": [["a"] * 6]}, "annotation 103: polygon: expected numbers"),
    ({}, {"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "annotation 103: polygon: expected .* at least three corners"),
    ({}, {"segmentation": [[1, 2, 3, 4, 5, 1e9]]}, "annotation 103: polygon: a corner at 1e.09 lies far outside"),
    ({}, {"segmentation": {"size": [30, 40], "counts": "~~~"}}, "annotation 103: RLE counts"),
]


@pytest.mark.parametrize(("of_ref", "of_annotation", "found"), CHANGES)
def test_what_is_wrong_with_a_ref_is_named(
    tmp_path: Path, of_ref: dict[str, Any], of_annotation: dict[str, Any], found: str
) -> None:
    refs = [{**one, **of_ref} if one["ref_id"] == 3 else one for one in REFS]
    objects = [{**one, **of_annotation} if one["id"] == 103 else one for one in ANNOTATIONS]
    folder = write_refer(tmp_path / "refcoco", refs, objects)
    with pytest.raises(DataError, match=found):
        open_dataset(folder)
    kept = open_dataset(folder, on_problem="skip")
    assert {sample.tags["ref"] for sample in kept.samples} == {"1", "2", "4", "5"}
    assert kept.problems


def test_what_is_wrong_in_another_split_does_not_matter(tmp_path: Path) -> None:
    refs = [{**one, "ann_id": 999} if one["ref_id"] == 3 else one for one in REFS]
    assert open_dataset(write_refer(tmp_path / "refcoco", refs), "train").samples


def test_duplicate_ids_are_named(tmp_path: Path) -> None:
    folder = write_refer(tmp_path / "refcoco", [*REFS, REFS[0]])
    with pytest.raises(DataError, match=r"2 problems\n  ref 1, sentence 1: duplicate id 1\.10 \(ref_id\.sent_id\)"):
        open_dataset(folder)
    two = [annotation(101, 11), annotation(101, 11, segmentation=[square(0, 0)])]
    with pytest.raises(DataError, match=r"instances\.json: `annotations`: duplicate id 101"):
        open_dataset(write_refer(folder, REFS[:1], two))
    # The same record twice does no harm.
    assert open_dataset(write_refer(folder, REFS[:1], [two[0], two[0]])).samples


@pytest.mark.parametrize("refs", [[], [ref(1, 11, 101, "val", [])]])
def test_an_empty_split_is_an_error(tmp_path: Path, refs: list[Any]) -> None:
    folder = write_refer(tmp_path / "refcoco", refs)
    with pytest.raises(DataError, match=r"refcoco: no usable samples in split 'val'"):
        open_dataset(folder, "val")


# Pictures that are not there


def without(folder: Path, *numbers: int) -> None:
    for number in numbers:
        (folder.parent / "images" / "mscoco" / "images" / "train2014" / coco_name(number)).unlink()


def test_missing_pictures_stop_and_are_listed_with_where_to_get_them(refcoco: Path) -> None:
    without(refcoco, 12, 13)
    with pytest.raises(DataError) as caught:
        open_dataset(refcoco)
    message = str(caught.value)
    assert "2 of 4 pictures are missing, with 4 of 9 phrases: " in message
    assert f"{coco_name(12)}, {coco_name(13)}; looked in" in message
    assert str(refcoco.parent / "images/mscoco/images/train2014") in message
    assert "get them: COCO train2014, http://images.cocodataset.org/zips/train2014.zip" in message
    assert "--allow-missing" in message


def test_missing_pictures_are_counted_where_they_may_be_missing(refcoco: Path) -> None:
    without(refcoco, 12, 13)
    dataset = open_dataset(refcoco, allow_missing=True)
    assert dataset.missing == Missing(pictures=2, phrases=4)
    assert {sample.tags["ref"] for sample in dataset.samples} == {"1", "2", "5"}
    assert open_dataset(refcoco, "train", allow_missing=True).missing == Missing()


def test_without_a_single_picture_nothing_is_allowed(refcoco: Path) -> None:
    without(refcoco, 11, 12, 13, 14)
    with pytest.raises(DataError, match="4 of 4 pictures are missing"):
        open_dataset(refcoco, allow_missing=True)


def test_many_missing_pictures_are_counted_after_the_first_few(tmp_path: Path) -> None:
    numbers = range(100, 110)
    refs = [ref(number, number, number, "val", ["a cat"]) for number in numbers]
    folder = write_refer(tmp_path / "refcoco", refs, [annotation(number, number) for number in numbers])
    without(folder, *numbers[1:])
    with pytest.raises(DataError, match=r"9 of 10 pictures .*000000105\.jpg and 4 more; looked in"):
        open_dataset(folder)


# PhraseCut


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda task: task.update(image_id=9), r"val: task 5__1: `image_id` 9 is no image of image_data_split\*\.json"),
        (lambda task: task.update(Polygons=[]), "task 5__1: `Polygons`: expected a list with an entry for each object"),
        (lambda task: task.update(Polygons=[[[1, 2, 3]]]), r"polygon: expected \[\[x, y\], \.\.\.\]"),
        (lambda task: task.update(Polygons=[[[[1], [2], [3]]]]), "polygon: expected"),
        (lambda task: task.update(phrase=""), "task 5__1: phrase: expected words"),
        (lambda task: task.pop("task_id"), "val: task at 0: expected {task_id, image_id, phrase, Polygons}"),
    ],
)
def test_what_is_wrong_with_a_phrasecut_task_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], found: str
) -> None:
    task = {"task_id": "5__1", "image_id": 5, "phrase": "a cat", "Polygons": [[[[1, 1], [9, 1], [9, 9]]]]}
    folder = write_phrasecut(tmp_path / "phrasecut", {"val": [task]})
    change(task)
    (folder / "refer_val.json").write_text(json.dumps([task]))
    with pytest.raises(DataError, match=found):
        open_dataset(folder, "val")


def test_phrasecuts_files_are_named_when_they_are_missing_or_others(tmp_path: Path) -> None:
    folder = write_phrasecut(tmp_path / "phrasecut", {"val": []})
    with pytest.raises(DataError, match=r"no split 'train'; there are: val"):
        open_dataset(folder, "train")
    (folder / "image_data_split3000.json").write_text('[{"image_id": 1}]')
    with pytest.raises(DataError, match=r"image_data_split3000\.json: expected a list of .*missing required field"):
        open_dataset(folder)
    (folder / "image_data_split3000.json").unlink()
    with pytest.raises(DataError, match=r"image_data_split\*\.json: no such file"):
        open_dataset(folder)
