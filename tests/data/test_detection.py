"""Files of boxes and classes, as COCO and Objects365 publish them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detection_data import scenes, write_coco, write_objects365

from referent.data.detection import read_detection
from referent.errors import DataError

RNG = np.random.default_rng(0)


def test_coco_gives_every_picture_with_its_objects_in_the_order_of_category_ids(tmp_path: Path) -> None:
    found = read_detection(write_coco(tmp_path))
    assert found.classes == ("person", "cat", "sports ball")
    assert found.masks
    assert [scene.name for scene in found.pictures] == ["1", "2", "3", "4"]  # the fifth shows nothing
    (sample,) = found.pictures[0].draw(RNG)
    assert list(sample.labels) == [0, 2]  # the crowd is none
    assert sample.size == (60, 72)
    for (_, left, top, side), box, mask in zip(scenes(1)[0], sample.boxes, sample.targets, strict=True):
        assert box == (left, top, side, side)
        assert mask["size"] == [60, 72]
    assert int(sample.mask().sum()) == 20 * 20 + 16 * 16


def test_objects365_has_boxes_alone_and_its_pictures_lie_in_patches(tmp_path: Path) -> None:
    found = read_detection(write_objects365(tmp_path))
    assert not found.masks
    sample = found.pictures[0].sample()
    assert sample.picture == tmp_path / "train" / "patch1" / "objects365_v1_00000001.jpg"
    assert sample.tags["truth"] == "box"
    assert sample.boxes[0] == (0, 3.25, 17.5, 56.75)  # what reaches beyond the picture is cut off


def test_pictures_may_all_lie_in_one_folder(tmp_path: Path) -> None:
    path = write_objects365(tmp_path)
    one = tmp_path / "all"
    one.mkdir()
    for file in (tmp_path / "train").rglob("*.jpg"):
        file.rename(one / file.name)
    assert len(read_detection(path, pictures=one).pictures) == 4


def changed(path: Path, change: Any) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["annotations"][0].update(category_id=5), "annotation 10: `category_id` 5"),
        (lambda content: content["annotations"][0].update(image_id=77), "annotation 10: `image_id` 77"),
        (lambda content: content["annotations"][0].pop("bbox"), "expected COCO's images, annotations"),
        (lambda content: content["images"][0].update(file_name="gone.jpg"), "image 1: no such file: gone.jpg"),
        (lambda content: content["images"][1].update(id=1), "image 1: duplicate id"),
        (lambda content: content["images"][0].update(width=0), "image 1: expected a size above 0"),
        (lambda content: content.update(annotations=[]), "no picture has an object"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_detection(changed(write_coco(tmp_path), change))
    assert message in str(caught.value)


def test_a_broken_mask_is_named_when_it_is_drawn(tmp_path: Path) -> None:
    path = changed(write_coco(tmp_path), lambda content: content["annotations"][0].update(segmentation=[[1, 2]]))
    with pytest.raises(DataError, match="annotation 10"):
        read_detection(path).pictures[0].sample().mask()


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split 'val'; there are: train"):
        read_detection(write_coco(tmp_path), "val")
