"""Each data set of videos is read in the layout in which its authors publish it, and found behind one door."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from miniatures import (
    SIZE,
    film,
    run_lengths,
    save_labels,
    write_davis,
    write_frames,
    write_split_folders,
    write_youtube_vos,
)

from referent.data.videos.clips import clips
from referent.data.videos.expressions import read_expressions
from referent.data.videos.opening import find_videos, open_videos
from referent.data.videos.ref_davis import ANNOTATORS
from referent.errors import DataError

FIRST = film(0).first_seen
"""Of the objects of the first film; one of them begins later."""


def test_the_film_of_these_tests_has_an_object_that_begins_later() -> None:
    assert min(FIRST.values()) == 0 < max(FIRST.values())


def test_youtube_vos_has_objects_that_begin_later_and_categories_seen_or_not(tmp_path: Path) -> None:
    films = {"train": {"aaa": film(0)}, "valid": {"bbb": film(0), "ccc": film(1)}}
    write_youtube_vos(tmp_path, films, {"aaa": "bear", "bbb": "bear", "ccc": "owl"})
    found = open_videos(tmp_path, "val")
    assert (found.name, found.family, found.split, found.task) == (
        "YouTube-VOS", "youtube-vos", "valid", "semi-supervised",
    )  # fmt: skip
    bear, owl = found.videos
    assert {item.number: item.first for item in bear.objects} == FIRST
    assert [path.stem for path in bear.frames[:2]] == ["00000", "00005"]
    assert sorted(bear.masks.annotated) == sorted(set(FIRST.values()))
    assert {item.seen for item in bear.objects} == {True}
    assert {item.seen for item in owl.objects} == {False}
    train = open_videos(tmp_path, "train")
    assert {item.seen for item in train.videos[0].objects} == {None}
    assert len(train.videos[0].masks.annotated) == len(film(0).frames)


def test_without_the_training_split_nobody_knows_what_is_seen(tmp_path: Path) -> None:
    write_youtube_vos(tmp_path, {"valid": {"bbb": film(0)}}, {"bbb": "bear"})
    (video,) = open_videos(tmp_path).videos
    assert {item.seen for item in video.objects} == {None}


@pytest.mark.parametrize(
    ("place", "start", "end"), [("valid", "0", "6"), ("meta_jsons", "00000000", "00000006"), (".", 0, 6)]
)
def test_lvos_counts_from_an_objects_start_up_to_its_end(
    tmp_path: Path, place: str, start: str | int, end: str | int
) -> None:
    one = film(0)
    write_frames(tmp_path / "valid" / "JPEGImages" / "xyz", one, names="{:08d}")
    for index in range(0, len(one.labels), 5):
        save_labels(tmp_path / "valid" / "Annotations" / "xyz" / f"{index:08d}.png", one.labels[index])
    (tmp_path / place).mkdir(exist_ok=True)
    spans = {"1": {"frame_range": {"start": start, "end": end, "frame_nums": "2"}}}
    (tmp_path / place / "valid_meta.json").write_text(json.dumps({"videos": {"xyz": {"objects": spans}}}))
    found = open_videos(tmp_path, "valid")
    (video,) = found.videos
    assert found.name == "LVOS"
    assert [(item.number, item.first, item.last, item.seen) for item in video.objects] == [(1, 0, 5, None)]
    assert list(video.masks.annotated) == [0, 5]
    (tmp_path / "unseen_videos.txt").write_text("xyz\n")
    assert open_videos(tmp_path).videos[0].objects[0].seen is False


def test_mose_lists_objects_whose_beginning_the_masks_tell(tmp_path: Path) -> None:
    write_split_folders(tmp_path, "train", {"v1": film(0)})
    write_split_folders(tmp_path, "valid", {"v2": film(1)}, given="first")
    numbers = [str(number) for number in FIRST]
    (tmp_path / "meta_train.json").write_text(json.dumps({"videos": {"v1": {"objects": numbers, "length": 8}}}))
    found = open_videos(tmp_path, "train")
    assert found.name == "MOSE"
    assert {item.number: item.first for item in found.videos[0].objects} == FIRST
    (valid,) = open_videos(tmp_path, "valid").videos
    assert [item.number for item in valid.objects] == sorted(set(np.unique(film(1).labels[0]).tolist()) - {0})


def test_ovis_is_one_json_file_with_a_mask_or_null_for_each_frame(tmp_path: Path) -> None:
    one = film(0)
    write_frames(tmp_path / "train" / "clip7", one, names="img_{:07d}")
    names = [f"clip7/img_{index:07d}.jpg" for index in range(len(one.frames))]
    video = {"id": 1, "height": SIZE[0], "width": SIZE[1], "length": len(names), "file_names": names}
    annotations = [
        {"id": number, "video_id": 1, "category_id": 3, "iscrowd": 0, "segmentations": run_lengths(one, number)}
        for number in FIRST
    ]
    content = {"videos": [video], "annotations": annotations, "categories": [{"id": 3, "name": "Bird"}]}
    (tmp_path / "annotations_train.json").write_text(json.dumps(content))
    found = open_videos(tmp_path)
    (video_read,) = found.videos
    assert (found.name, video_read.name, video_read.size) == ("OVIS", "clip7", SIZE)
    assert [item.first for item in video_read.objects] == list(FIRST.values())
    assert {item.category for item in video_read.objects} == {"Bird"}
    for index, labels in enumerate(one.labels):
        masks = video_read.masks.at(index).masks
        assert set(masks) == {row for row, number in enumerate(FIRST, start=1) if (labels == number).any()}
        assert all(
            (masks[row] == (labels == number)).all() for row, number in enumerate(FIRST, start=1) if row in masks
        )
    assert clips(found)[0].draw(np.random.default_rng(0))


def expressions(folder: Path, videos: dict[str, dict[str, object]], frames: int, step: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{step * index:05d}" for index in range(frames)]
    content = {name: {"expressions": said, "frames": names} for name, said in videos.items()}
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": content}))


def test_ref_youtube_vos_keeps_the_objects_of_its_validation_videos_secret(tmp_path: Path) -> None:
    write_split_folders(tmp_path, "train", {"aaa": film(0)}, step=5)
    write_split_folders(tmp_path, "valid", {"bbb": film(0), "ccc": film(1)}, given="none", step=5)
    length, said = len(film(0).frames), tmp_path / "meta_expressions"
    of_train = {"0": {"exp": "a red cube", "obj_id": "1"}, "1": {"exp": "the one behind", "obj_id": "2"}}
    expressions(said / "train", {"aaa": dict(of_train)}, length, 5)
    secret: dict[str, object] = {"0": {"exp": "what moves"}}
    expressions(said / "valid", {"bbb": secret, "ccc": secret}, length, 5)
    expressions(said / "test", {"ccc": secret}, length, 5)
    train = open_videos(tmp_path, "train")
    assert [(one.text, one.objects) for one in train.videos[0].expressions] == [
        ("a red cube", (1,)),
        ("the one behind", (2,)),
    ]
    assert [item.numbers for item in clips(train)] == [(1,), (2,)]
    valid = open_videos(tmp_path, "valid")
    assert (valid.name, valid.task) == ("Ref-YouTube-VOS", "referring")
    assert [video.name for video in valid.videos] == ["bbb"]
    assert valid.videos[0].expressions[0].objects == ()
    assert not valid.videos[0].masks.annotated


def test_mevis_has_expressions_that_are_true_of_several_objects(tmp_path: Path) -> None:
    one = film(0)
    write_frames(tmp_path / "valid_u" / "JPEGImages" / "aaa", one)
    said: dict[str, object] = {
        "0": {"exp": "the two that move", "obj_id": [0, 1], "anno_id": [71, 35]},
        "1": {"exp": "what stands still", "obj_id": [0], "anno_id": [35]},
    }
    expressions(tmp_path / "valid_u", {"aaa": said}, len(one.frames))
    masks = {"35": run_lengths(one, 1), "71": run_lengths(one, 2)}
    (tmp_path / "valid_u" / "mask_dict.json").write_text(json.dumps(masks))
    write_frames(tmp_path / "valid" / "JPEGImages" / "bbb", one)
    expressions(tmp_path / "valid", {"bbb": {"0": {"exp": "what moves"}}}, len(one.frames))
    (video,) = open_videos(tmp_path, "valid_u").videos
    assert [one.objects for one in video.expressions] == [(2, 1), (1,)]
    for index, labels in enumerate(one.labels):
        found = video.masks.at(index).masks
        assert all((found.get(number, np.zeros(SIZE, bool)) == (labels == number)).all() for number in (1, 2))
    (secret,) = open_videos(tmp_path, "valid").videos
    assert secret.expressions[0].objects == ()


def test_ref_davis_has_two_annotators_who_wrote_twice(tmp_path: Path) -> None:
    write_davis(tmp_path / "DAVIS", {"cows": film(1), "classic-car": film(0)})
    (tmp_path / "davis_text_annotations").mkdir()
    for row, name in enumerate(ANNOTATORS):
        text = f'clasic-car 1 "the car, caf\u00e9 {row}"\nclasic-car 2 "a man"\n\ncows 1 "a cow"\n'
        encoding = "utf-8" if row < 2 else "latin-1"
        (tmp_path / "davis_text_annotations" / f"Davis17_{name}.txt").write_text(text, encoding=encoding)
    found = open_videos(tmp_path, "val")
    (video,) = found.videos
    assert (found.name, found.task, video.name) == ("Ref-DAVIS17", "referring", "classic-car")
    assert [(one.annotator, one.id, one.objects, one.first_frame) for one in video.expressions] == [
        (0, "0", (1,), True), (0, "1", (2,), True), (1, "0", (1,), False), (1, "1", (2,), False),
        (2, "0", (1,), True), (2, "1", (2,), True), (3, "0", (1,), False), (3, "1", (2,), False),
    ]  # fmt: skip
    assert [one.text for one in video.expressions if one.id == "0"] == [f"the car, caf\u00e9 {row}" for row in range(4)]


def test_a_path_into_davis_says_year_split_or_task(tmp_path: Path) -> None:
    write_davis(tmp_path, {"bear": film(0), "cows": film(1)})
    (tmp_path / "ImageSets" / "2016").mkdir()
    (tmp_path / "ImageSets" / "2016" / "val.txt").write_text("bear\n")
    found = open_videos(tmp_path / "ImageSets" / "2016" / "val.txt", "train")
    assert (found.name, found.split, [video.name for video in found.videos]) == ("DAVIS 2016", "val", ["bear"])
    save_labels(tmp_path / "Annotations_unsupervised" / "480p" / "cows" / "00000.png", film(1).labels[0])
    assert open_videos(tmp_path / "Annotations_unsupervised", "val").task == "unsupervised"
    assert open_videos(tmp_path, "val").task == "semi-supervised"


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    write_youtube_vos(tmp_path, {"train": {"a": film(0)}, "valid": {"b": film(0)}}, {"a": "bear", "b": "bear"})
    with pytest.raises(DataError, match="no split 'testA'; there are: train, valid"):
        open_videos(tmp_path, "testA")
    with pytest.raises(DataError, match="expected the name of a split; there are: train, valid"):
        open_videos(tmp_path)


def test_what_is_no_data_set_of_videos_is_said(tmp_path: Path) -> None:
    assert find_videos(tmp_path) is None
    with pytest.raises(DataError, match="expected a data set of videos"):
        open_videos(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_youtube_vos(tmp_path / "y", {"train": {"a": film(0)}}, {"a": "bear"})
    (tmp_path / "y" / "train" / "meta.json").write_text('{"videos": {"a": {"objects": []}}}')
    with pytest.raises(DataError, match=r"meta\.json: expected YouTube-VOS's"):
        open_videos(tmp_path / "y")
    write_frames(tmp_path / "m" / "valid" / "JPEGImages" / "bbb", film(0))
    expressions(tmp_path / "m" / "valid", {"bbb": {"0": {"exp": "x"}}, "gone": {"0": {"exp": "y"}}}, 99)
    with pytest.raises(DataError, match="2 problems") as caught:
        open_videos(tmp_path / "m")
    assert f"{99 - len(film(0).frames)} of 99 frames are missing, the first: 00008" in str(caught.value)


REAL = Path(__file__).parents[2] / "work" / "data" / "text" / "refytvos_meta_expressions_valid_test.json"


@pytest.mark.skipif(not REAL.is_file(), reason="the published file is not here")
def test_the_published_expressions_are_read_and_counted() -> None:
    """1,063 objects in 507 videos have 2,096 expressions (the data set's page)."""
    spoken = read_expressions(REAL)
    assert len(spoken) == 507
    assert sum(len(one.expressions) for one in spoken.values()) == 2096
    assert all(one.frames and all(said.exp for said in one.expressions.values()) for one in spoken.values())
