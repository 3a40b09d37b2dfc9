from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from few_shot_data import save_mask, write_coco, write_fss, write_voc
from PIL import Image
from small_data import SIZE, block, save_picture

from referent.data.few_shot.class_lists import COCO_NAMES, VOC_NAMES, coco_fold, pascal_fold, read_names
from referent.data.few_shot.opening import open_class_set
from referent.errors import DataError


def shown(found) -> dict[str, list[str]]:
    return {name: [sample.picture.name for sample in samples] for name, samples in found.classes.items()}


def test_a_coco_files_classes_have_the_pictures_that_show_them(tmp_path):
    found = open_class_set(write_coco(tmp_path, {"cat": [1, 2], "fire_engine": [2, 3], "dog": []}, 3))
    assert shown(found) == {"cat": ["1.png", "2.png"], "fire engine": ["2.png", "3.png"]}
    sample = found.classes["fire engine"][0]
    assert (str(sample.reference), sample.tags["name"], sample.size) == ("fire engine", "fire engine", SIZE)
    assert np.array_equal(sample.mask(), block(4, 2))


def test_a_class_is_the_union_of_its_objects_in_a_picture(tmp_path):
    found = open_class_set(write_coco(tmp_path, {"cat": [1]}, 1))
    path = tmp_path / "instances.json"
    content = json.loads(path.read_text())
    second = {"id": 7, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": [[20, 2, 28, 2, 28, 9, 20, 9]]}
    content["annotations"].append(second)
    path.write_text(json.dumps(content))
    both = open_class_set(path).classes["cat"][0].mask()
    assert (both & found.classes["cat"][0].mask()).sum() == 30
    assert both[5, 24]


def test_opening_a_coco_file_draws_no_mask_and_a_broken_one_is_named_when_it_is_drawn(tmp_path):
    path = write_coco(tmp_path, {"cat": [1, 2]}, 2)
    content = json.loads(path.read_text())
    content["annotations"][1]["segmentation"] = []
    path.write_text(json.dumps(content))
    found = open_class_set(path)
    found.classes["cat"][0].mask()
    with pytest.raises(DataError, match=r"instances\.json: annotation 2: empty mask"):
        found.classes["cat"][1].mask()


def test_classes_are_kept_left_out_and_bound_below_in_area(tmp_path):
    path = write_coco(tmp_path, {"cat": [1], "dog": [1], "zebra": [1]}, 1)
    assert list(open_class_set(path, classes=["dog,cat"]).classes) == ["cat", "dog"]
    assert list(open_class_set(path, leave_out=["dog"]).classes) == ["cat", "zebra"]
    names = tmp_path / "names.txt"
    names.write_text("# held out\nzebra\ngiraffe\n")
    assert list(open_class_set(path, classes=[str(names)]).classes) == ["zebra"]
    assert list(open_class_set(path, leave_out=["@coco-20i/3"]).classes) == ["dog", "zebra"]
    assert open_class_set(path, min_area=30).classes
    with pytest.raises(DataError, match="no picture shows a class"):
        open_class_set(path, min_area=31)
    with pytest.raises(DataError, match="no picture shows ox; there are: cat, dog, zebra"):
        open_class_set(path, classes=["cat,ox"])
    with pytest.raises(DataError, match="of 3 classes none is left"):
        open_class_set(path, leave_out=["cat,dog,zebra"])


def test_the_area_of_a_mask_is_counted_where_the_file_names_none(tmp_path):
    path = write_coco(tmp_path, {"cat": [1]}, 1)
    content = json.loads(path.read_text())
    del content["annotations"][0]["area"]
    path.write_text(json.dumps(content))
    assert open_class_set(path, min_area=30).classes
    with pytest.raises(DataError, match="no picture shows a class"):
        open_class_set(path, min_area=31)
    content["annotations"][0]["segmentation"] = []
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"image 1: .*annotation 1: empty mask"):
        open_class_set(path, min_area=30)


def test_what_is_wrong_in_a_coco_file_is_named_at_once_or_left_out(tmp_path, caplog):
    path = write_coco(tmp_path, {"cat": [1, 2]}, 2)
    content = json.loads(path.read_text())
    content["images"][0]["file_name"] = "gone.png"
    content["annotations"].append({**content["annotations"][1], "id": 8, "category_id": 5})
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"2 problems\n  image 1: no such file: .*gone\.png.*\n.*annotation 8: .*5 is"):
        open_class_set(path)
    with caplog.at_level(logging.WARNING):
        found = open_class_set(path, on_problem="skip")
    assert shown(found) == {"cat": ["2.png"]}
    assert len(found.problems) == 2


def test_splits_of_a_coco_file_are_those_of_its_pictures(tmp_path):
    path = write_coco(tmp_path, {"cat": [1, 2]}, 2)
    content = json.loads(path.read_text())
    content["images"][1]["split"] = "val"
    path.write_text(json.dumps(content))
    assert shown(open_class_set(path, "val")) == {"cat": ["2.png"]}
    with pytest.raises(DataError, match="no split 'test'; there are: train, val"):
        open_class_set(path, "test")


def test_several_splits_are_those_that_are_named(tmp_path):
    path = write_coco(tmp_path, {"cat": [1, 2, 3]}, 3)
    content = json.loads(path.read_text())
    for image, split in zip(content["images"], ("val", "train", "test"), strict=True):
        image["split"] = split
    path.write_text(json.dumps(content))
    for splits in ("val,test", "test, val"):
        assert shown(open_class_set(path, splits)) == {"cat": ["1.png", "3.png"]}
    assert shown(open_class_set(path, "train,val,test")) == shown(open_class_set(path))
    with pytest.raises(DataError, match="no split 'vla'; there are: val, train, test"):
        open_class_set(path, "test,vla")
    for split in ("train", "val", "test"):
        write_fss(tmp_path / "folders" / split, [split], pictures=1)
    assert list(open_class_set(tmp_path / "folders", "val,test").classes) == ["test", "val"]
    with pytest.raises(DataError, match="no split 'all'; there are: train, val, test"):
        open_class_set(tmp_path / "folders", "val,all")


def test_fss_1000_is_read_in_its_own_layout_and_split_by_a_rule_of_its_own(tmp_path):
    names = [f"class_{number}" for number in range(25)]
    write_fss(tmp_path, names, pictures=2)
    splits = {split: open_class_set(tmp_path, split) for split in ("train", "val", "test")}
    assert [len(found.classes) for found in splits.values()] == [13, 6, 6]
    assert sorted(name for found in splits.values() for name in found.classes) == sorted(
        name.replace("_", " ") for name in names
    )
    assert all("by a rule" in found.notes[0] for found in splits.values())
    every = open_class_set(tmp_path)
    assert (len(every.classes), every.whole, every.notes) == (25, True, ())
    assert np.array_equal(every.classes["class 3"][1].mask(), block(2, 4))


def test_a_thousand_classes_are_split_as_the_official_lists_split_them_in_number():
    from referent.data.few_shot.splits import split_classes

    names = [f"c{number}" for number in range(1000)]
    found, _ = split_classes(Path("nowhere"), names)
    assert {split: len(members) for split, members in found.items()} == {"train": 520, "val": 240, "test": 240}


def test_the_official_lists_are_read_where_they_are(tmp_path):
    write_fss(tmp_path / "images", ["abacus", "ant", "bus", "cat"], pictures=1)
    lists = tmp_path / "splits" / "fss"
    lists.mkdir(parents=True)
    for name, members in {"trn": "abacus\nbus\n", "val": "cat\n", "test": "ant\n"}.items():
        (lists / f"{name}.txt").write_text(members)
    assert list(open_class_set(tmp_path, "train").classes) == ["abacus", "bus"]
    assert list(open_class_set(tmp_path, "test").classes) == ["ant"]
    assert "as listed" in open_class_set(tmp_path, "val").notes[0]
    (lists / "val.txt").write_text("cat\nant\n")
    with pytest.raises(DataError, match="the lists of test and val share classes: ant"):
        open_class_set(tmp_path, "val")


def test_only_fss_1000s_own_list_of_its_test_leaves_the_rest_to_the_rule(tmp_path):
    write_fss(tmp_path, ["a", "b", "c", "d"], pictures=1)
    (tmp_path / "fss_test_set.txt").write_text("b\n")
    assert list(open_class_set(tmp_path, "test").classes) == ["b"]
    rest = [name for split in ("train", "val") for name in open_class_set(tmp_path, split).classes]
    assert sorted(rest) == ["a", "c", "d"]
    assert open_class_set(tmp_path, "val").notes == (
        "lists of test read; classes of train, val by a rule, as no official list is there",
    )


@pytest.mark.parametrize(
    ("picture", "mask"),
    [
        ("cat/a.jpg", "cat/a.png"),
        ("cat/a.png", "cat/a_mask.png"),
        ("cat/a.jpg", "cat/a-gt.png"),
        ("cat/images/a.jpg", "cat/masks/a.png"),
        ("cat/images/a.jpg", "cat/masks/a_mask.png"),
        ("images/cat/a.jpg", "masks/cat/a.png"),
        ("JPEGImages/cat/a.jpg", "annotations/cat/a.png"),
        ("fewshot_data/fewshot_data/cat/a.jpg", "fewshot_data/fewshot_data/cat/a.png"),
        ("val/cat/a.jpg", "val/cat/a.png"),
    ],
)
def test_the_usual_namings_of_pictures_and_masks_are_understood(tmp_path, picture, mask):
    save_picture(tmp_path / picture)
    save_mask(tmp_path / mask, block(3, 5))
    found = open_class_set(tmp_path)
    assert shown(found) == {"cat": [Path(picture).name]}
    assert np.array_equal(found.classes["cat"][0].mask(), block(3, 5))


@pytest.mark.parametrize("train", ["train", "trn"])
def test_folders_of_splits_may_share_classes_and_keep_their_pictures_apart(tmp_path, train):
    for split in (train, "val"):
        save_picture(tmp_path / split / "cat" / "a.jpg")
        save_mask(tmp_path / split / "cat" / "a.png", block(3, 5))
    assert [sample.split for sample in open_class_set(tmp_path).classes["cat"]] == ["train", "val"]
    assert len({sample.id for sample in open_class_set(tmp_path).classes["cat"]}) == 2
    assert len(open_class_set(tmp_path, "train").classes["cat"]) == 1
    with pytest.raises(DataError, match="no split 'test'; there are: train, val"):
        open_class_set(tmp_path, "test")


def test_areas_are_counted_in_masks_and_unusable_ones_are_problems(tmp_path):
    write_fss(tmp_path, ["cat"], pictures=2)
    assert len(open_class_set(tmp_path, min_area=30).classes["cat"]) == 2
    save_mask(tmp_path / "cat" / "2.png", np.zeros(SIZE, dtype=bool))
    with pytest.raises(DataError, match=r"1 problem\n  cat/2: .*2\.png: expected a mask of something"):
        open_class_set(tmp_path, min_area=30)
    assert len(open_class_set(tmp_path, min_area=30, on_problem="skip").classes["cat"]) == 1


def test_soft_masks_are_cut_at_half_grey_and_masks_of_two_values_at_the_larger(tmp_path):
    write_fss(tmp_path, ["cat"], pictures=2)
    soft = np.zeros(SIZE, dtype=np.uint8)
    soft[2:8, 3:9], soft[4:6, 4:6] = 127, 200
    Image.fromarray(soft).convert("RGB").save(tmp_path / "cat" / "1.png")
    save_mask(tmp_path / "cat" / "2.png", block(1, 1), inside=1)
    one, two = open_class_set(tmp_path).classes["cat"]
    assert np.array_equal(one.mask(), soft == 200)
    assert two.mask().sum() == 30


def test_what_is_wrong_in_class_folders_is_named_and_an_empty_mask_when_it_is_read(tmp_path):
    write_fss(tmp_path, ["cat"], pictures=3)
    (tmp_path / "cat" / "1.png").unlink()
    save_mask(tmp_path / "cat" / "2.png", np.zeros((5, 5), dtype=bool))
    save_mask(tmp_path / "cat" / "3.png", np.zeros(SIZE, dtype=bool))
    with pytest.raises(
        DataError, match=r"2 problems\n  cat/1: found no mask\n  cat/2: the picture is 30 x 20, .*5 x 5"
    ):
        open_class_set(tmp_path)
    (left,) = open_class_set(tmp_path, on_problem="skip").classes["cat"]
    with pytest.raises(DataError, match=r"3\.png: expected a mask of something, found an empty one"):
        left.mask()
    with pytest.raises(DataError, match="pictures lie in such a folder itself"):
        open_class_set(tmp_path, pictures=tmp_path)
    with pytest.raises(DataError, match="expected a folder a class"):
        open_class_set(tmp_path / "cat")


def test_voc_with_sbds_masks_is_read_class_by_class_without_the_border(tmp_path):
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[2:7, 3:9], labels[10:12, 10:14], labels[7, :] = 1, 15, 255
    lists = {"val": ["a"], "trainaug": ["/JPEGImages/b.jpg /SegmentationClassAug/b.png"]}
    write_voc(tmp_path / "VOC2012", {"a": labels, "b": labels * (labels == 15)}, lists)
    found = open_class_set(tmp_path, "val")
    assert shown(found) == {"aeroplane": ["a.jpg"], "person": ["a.jpg"]}
    (plane,) = found.classes["aeroplane"]
    assert np.array_equal(plane.mask(), labels == 1)
    assert np.array_equal(plane.judged(), labels != 255)
    assert shown(open_class_set(tmp_path, "train")) == {"person": ["b.jpg"]}
    assert list(open_class_set(tmp_path, "val", min_area=9).classes) == ["aeroplane"]
    assert list(open_class_set(tmp_path, "val", classes=["@pascal-5i/0"]).classes) == ["aeroplane"]
    with pytest.raises(DataError, match=r"no list of split 'test'.*there are: trainaug, val"):
        open_class_set(tmp_path, "test")


def test_several_splits_of_voc_show_each_picture_once(tmp_path):
    labels = np.ones(SIZE)
    lists = {"val": ["b", "c"], "train": ["a", "b"], "test": ["d"]}
    write_voc(tmp_path, dict.fromkeys("abcd", labels), lists)
    found = [open_class_set(tmp_path, splits) for splits in ("val,train", "train,val")]
    assert [shown(one) for one in found] == [{"aeroplane": ["a.jpg", "b.jpg", "c.jpg"]}] * 2
    assert [sample.split for sample in found[0].classes["aeroplane"]] == ["train", "train", "val"]
    with pytest.raises(DataError, match="no list of split 'vla'"):
        open_class_set(tmp_path, "val,vla")


def test_voc_files_that_do_not_fit_are_named(tmp_path):
    write_voc(tmp_path, {"a": np.ones(SIZE), "b": np.ones((4, 4)), "c": np.ones(SIZE)}, {"val": ["a", "b", "c", "d"]})
    (tmp_path / "SegmentationClassAug" / "c.png").write_bytes(b"no picture")
    with pytest.raises(
        DataError, match=r"3 problems\n  b: .*4 x 4.*20 x 30\n  c: .*cannot be read.*\n  d: no such file"
    ):
        open_class_set(tmp_path, "val")
    assert shown(open_class_set(tmp_path, "val", on_problem="skip")) == {"aeroplane": ["a.jpg"]}


def test_folds_share_out_the_classes_as_published():
    assert pascal_fold(3) == ("pottedplant", "sheep", "sofa", "train", "tvmonitor")
    assert coco_fold(0)[:4] == ("person", "airplane", "boat", "parking meter")
    assert sorted(name for fold in range(4) for name in pascal_fold(fold)) == sorted(VOC_NAMES)
    assert sorted(name for fold in range(4) for name in coco_fold(fold)) == sorted(COCO_NAMES)
    assert (len(VOC_NAMES), len(set(COCO_NAMES))) == (20, 80)


def test_lists_of_classes_are_names_files_and_folds(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("traffic_light\n\n# these were trained on\ncat\n")
    assert read_names(["dog, cat", str(file)]) == ("dog", "cat", "traffic light")
    assert read_names(["@pascal-5i/1"]) == pascal_fold(1)
    for wrong in ("@coco-20i/4", "@coco", "@"):
        with pytest.raises(DataError, match="expected @pascal-5i/0"):
            read_names([wrong])
    with pytest.raises(DataError, match="expected names"):
        read_names([" , "])
