"""RefCOCO and its like, in the layout of the `refer` toolbox."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from published_data import ANNOTATIONS, HEIGHT, PERSON, REFS, WIDTH, annotation, ref, square, write_grefs, write_refer

from referent.data.loading import open_dataset
from referent.errors import DataError
from referent.rle import decode, encode


@pytest.fixture
def refcoco(tmp_path: Path) -> Path:
    return write_refer(tmp_path / "refcoco")


def region(left: int, top: int, side: int = 8) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_every_sentence_of_every_ref_is_a_sample_in_the_files_order(refcoco: Path) -> None:
    dataset = open_dataset(refcoco)
    assert dataset.name == "refcoco/refs(unc).p"
    assert [(sample.id, str(sample.reference), sample.split) for sample in dataset.samples] == [
        ("1.10", "the left cat", "train"),
        ("1.11", "cat at left", "train"),
        ("2.20", "right cat", "train"),
        ("3.30", "a cat", "val"),
        ("3.31", "the only cat", "val"),
        ("3.32", "cat", "val"),
        ("4.40", "man in black", "testA"),
        ("5.50", "zebra on left", "testB"),
        ("5.51", "left zebra", "testB"),
    ]
    first = dataset.samples[0]
    assert first.size == (HEIGHT, WIDTH)
    assert first.picture.name == "COCO_train2014_000000000011.jpg"
    assert first.picture.is_file()
    assert (first.mask() == region(20, 4)).all()


def test_tags_say_ref_class_and_how_many_of_it_there_are(refcoco: Path) -> None:
    samples = {sample.id: sample for sample in open_dataset(refcoco).samples}
    assert samples["1.10"].tags == {"ref": "1", "name": "cat", "same_class": "2"}
    assert samples["4.40"].tags == {"ref": "4", "name": "person", "same_class": "1"}


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("val", ["3.30", "3.31", "3.32"]),
        ("testA", ["4.40"]),
        ("testB", ["5.50", "5.51"]),
        ("test", ["4.40", "5.50", "5.51"]),
    ],
)
def test_splits_are_chosen_as_the_official_loaders_do(refcoco: Path, split: str, ids: list[str]) -> None:
    assert [sample.id for sample in open_dataset(refcoco, split).samples] == ids


def test_a_ref_in_several_test_splits_is_in_each(tmp_path: Path) -> None:
    folder = write_refer(tmp_path / "set", [ref(1, 11, 101, "testAB", ["a cat"]), ref(2, 11, 102, "val", ["cat"])])
    for split in ("testA", "testB", "test"):
        assert [sample.id for sample in open_dataset(folder, split).samples] == ["1.10"]


def test_the_sentence_is_the_cleaned_text_or_the_typed_one(refcoco: Path) -> None:
    assert str(open_dataset(refcoco, "train").samples[0].reference) == "the left cat"
    assert str(open_dataset(refcoco, "train", wording="raw").samples[0].reference) == "The left cat."


def test_a_sentence_of_which_nothing_is_left_after_cleaning_is_asked_as_it_was_typed(tmp_path: Path) -> None:
    folder = write_refer(tmp_path / "refcoco", [ref(1, 11, 101, "val", ["!"])])
    assert str(open_dataset(folder, "val").samples[0].reference) == "!"


def test_a_folder_with_two_splittings_means_unc(tmp_path: Path) -> None:
    folder = write_refer(tmp_path / "refcoco", [ref(7, 11, 101, "test", ["by google"])], variant="google")
    write_refer(folder)
    assert open_dataset(folder).name == "refcoco/refs(unc).p"
    chosen = open_dataset(folder / "refs(google).p", "test")
    assert (chosen.name, [str(sample.reference) for sample in chosen.samples]) == (
        "refcoco/refs(google).p",
        ["by google"],
    )


def test_pictures_are_not_opened_and_masks_not_drawn_before_they_are_asked_for(
    refcoco: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("referent.data.published.targets.draw", drawn.append)
    for picture in (refcoco.parent / "images").rglob("*.jpg"):
        picture.write_bytes(b"")
    assert len(open_dataset(refcoco).samples) == 9
    assert drawn == []


def test_the_sentences_of_a_ref_share_a_mask_that_is_drawn_once(refcoco: Path) -> None:
    first, second = open_dataset(refcoco, "train").samples[:2]
    assert first.targets[0] is second.targets[0]
    assert list(first.targets) == [encode(region(20, 4))]
    assert list(first.targets[:1]) == list(first.targets)


def test_parts_that_overlap_are_a_union_for_us_and_a_hole_for_lavt(tmp_path: Path) -> None:
    parts = [square(0, 0), square(4, 4)]
    objects = [annotation(101, 11, segmentation=parts)]
    (sample,) = open_dataset(write_refer(tmp_path / "refcoco", [ref(1, 11, 101, "val", ["cat"])], objects)).samples
    union = region(0, 0) | region(4, 4)
    assert (sample.mask() == union).all()
    assert (sample.mask("once") == union & ~region(4, 4, 4)).all()
    assert [part.tolist() for part in sample.polygons[0]] == parts


def test_masks_as_run_lengths_are_taken_as_they_are(tmp_path: Path) -> None:
    mask = region(3, 3)
    plain = [
        {"size": [HEIGHT, WIDTH], "counts": runs} for runs in (encode(mask)["counts"], [5, 7, HEIGHT * WIDTH - 12])
    ]
    objects = [annotation(101 + place, 11, segmentation=rle) for place, rle in enumerate(plain)]
    refs = [ref(1, 11, 101, "val", ["cat"]), ref(2, 11, 102, "val", ["dog"])]
    first, second = open_dataset(write_refer(tmp_path / "refcoco", refs, objects)).samples
    assert (first.mask() == mask).all()
    assert (first.mask("once") == mask).all()
    assert decode(second.targets[0]).sum() == 7
    assert not first.polygons


def test_a_part_of_two_corners_is_left_out(tmp_path: Path) -> None:
    objects = [annotation(101, 11, segmentation=[[1, 1, 9, 9], square(0, 0)])]
    (sample,) = open_dataset(write_refer(tmp_path / "refcoco", [ref(1, 11, 101, "val", ["cat"])], objects)).samples
    assert (sample.mask() == region(0, 0)).all()


def test_grefcoco_has_refs_of_several_objects_and_of_none(tmp_path: Path) -> None:
    refs = [
        ref(1, 11, [101, 102], "val", ["both cats"], category_id=[17, 17], no_target=False),
        ref(2, 11, [-1], "val", ["the dog"], category_id=[-1], no_target=True),
        ref(3, 11, [102], "val", ["right one"]),
        ref(4, 13, [104, 106], "testA", ["him and the cat"]),
    ]
    objects = [*ANNOTATIONS, annotation(106, 13)]
    samples = open_dataset(write_grefs(tmp_path / "grefcoco", refs, objects)).samples
    assert [(len(sample.targets), sample.tags) for sample in samples] == [
        (2, {"ref": "1", "kind": "plural", "name": "cat", "same_class": "2"}),
        (0, {"ref": "2", "kind": "none"}),
        (1, {"ref": "3", "name": "cat", "same_class": "2"}),
        (2, {"ref": "4", "kind": "plural"}),
    ]
    assert (samples[0].mask() == region(20, 4) | region(0, 4)).all()
    assert not samples[1].mask().any()


def test_grefcocos_crowds_are_none_of_several_objects(tmp_path: Path) -> None:
    crowd = annotation(106, 11, segmentation={"size": [HEIGHT, WIDTH], "counts": [0, 9, 1191]}, iscrowd=1)
    folder = write_grefs(tmp_path / "grefcoco", [ref(1, 11, [101, 106], "val", ["cats"])], [*ANNOTATIONS, crowd])
    (sample,) = open_dataset(folder).samples
    assert (sample.mask() == region(20, 4)).all()
    assert sample.tags["same_class"] == "2"


def test_grefcoco_is_read_as_json_where_it_lies_there_as_a_pickle_too(tmp_path: Path) -> None:
    folder = write_grefs(tmp_path / "grefcoco", [ref(1, 11, [101], "val", ["newer"])])
    (folder / "grefs(unc).p").write_bytes(pickle.dumps([ref(1, 11, [101], "val", ["older"])]))
    assert [str(sample.reference) for sample in open_dataset(folder).samples] == ["newer"]


def test_ref_zoms_phrases_of_nothing_name_an_object_and_have_none(tmp_path: Path) -> None:
    refs = [
        ref(1, 11, [101, 102], "test", ["cats"], source="many"),
        ref(2, 11, [101], "test", ["a dog"], source="zero"),
    ]
    many, none = open_dataset(write_refer(tmp_path / "ref-zom", refs, variant="final"), "test").samples
    assert (len(many.targets), len(none.targets), none.tags["kind"]) == (2, 0, "none")


def test_refgta_has_boxes_and_says_so(tmp_path: Path) -> None:
    objects = [{**annotation(101, 11, PERSON), "bbox": [3, 5, 10.0, 6.0], "segmentation": []}]
    folder = write_refer(tmp_path / "refgta", [ref(1, 11, 101, "val", ["a man"])], objects, variant="utokyo")
    (sample,) = open_dataset(folder).samples
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[5:11, 3:13] = True
    assert (sample.mask() == expected).all()
    assert sample.tags["truth"] == "box"
    assert sample.boxes == ((3, 5, 10, 6),)


def test_boxes_are_those_of_the_file_and_not_of_the_masks(tmp_path: Path) -> None:
    objects = [{**annotation(101, 11), "bbox": [10.25, 4.5, 7.75, 8]}, {**annotation(102, 11), "bbox": []}]
    refs = [ref(1, 11, [101, 102], "val", ["cats"])]
    (sample,) = open_dataset(write_refer(tmp_path / "refcoco", refs, objects), "val").samples
    assert sample.boxes == ((10.25, 4.5, 7.75, 8), None)


def test_a_box_that_is_none_is_told_with_its_annotation(tmp_path: Path) -> None:
    objects = [{**annotation(101, 11), "bbox": [1, 2, 3]}]
    folder = write_refer(tmp_path / "refcoco", [ref(1, 11, 101, "val", ["a cat"])], objects)
    with pytest.raises(DataError, match=r"annotation 101: `bbox`: expected \[x, y, width, height\], found \[1, 2, 3\]"):
        open_dataset(folder, "val")


@pytest.mark.parametrize("place", ["images/mscoco/images/train2014", "images/train2014", "train2014", "images"])
def test_pictures_are_found_in_every_documented_place(refcoco: Path, place: str) -> None:
    found = refcoco.parent / "images" / "mscoco" / "images" / "train2014"
    (refcoco.parent / place).parent.mkdir(parents=True, exist_ok=True)
    moved = found.rename(refcoco.parent / "aside")
    for old in ("images/mscoco/images", "images/mscoco", "images"):
        (refcoco.parent / old).rmdir() if not any((refcoco.parent / old).iterdir()) else None
    (refcoco.parent / place).parent.mkdir(parents=True, exist_ok=True)
    moved.rename(refcoco.parent / place)
    assert all(sample.picture.parent == refcoco.parent / place for sample in open_dataset(refcoco).samples)


def test_pictures_may_lie_in_a_folder_that_is_given(refcoco: Path, tmp_path: Path) -> None:
    old = refcoco.parent / "images" / "mscoco" / "images" / "train2014"
    (tmp_path / "coco").mkdir()
    old.rename(tmp_path / "coco" / "train2014")
    for given in (tmp_path / "coco", tmp_path / "coco" / "train2014"):
        samples = open_dataset(refcoco, pictures=given).samples
        assert all(sample.picture.parent.name == "train2014" for sample in samples)


def test_instances_with_a_byte_order_mark_and_unknown_fields_are_read(refcoco: Path) -> None:
    path = refcoco / "instances.json"
    content = json.loads(path.read_text())
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({**content, "licenses": [{"id": 1}], "more": {"a": [1]}}).encode())
    assert len(open_dataset(refcoco).samples) == len([0 for one in REFS for _ in one["sentences"]])
