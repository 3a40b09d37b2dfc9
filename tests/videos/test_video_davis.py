"""DAVIS 2016 and 2017 are read as they lie on disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from miniatures import SIZE, film, save_labels, write_davis, write_flat
from PIL import Image

from referent.data.scenes.writing import Settings, write_scenes
from referent.data.videos.davis import read_davis
from referent.data.videos.label_pictures import read_labels
from referent.errors import DataError


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis") / "DAVIS"
    write_davis(root, {"bear": film(0), "dogs-2": film(1)})
    return root


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("flat") / "davis2016"
    write_flat(root, {"bear": film(0), "dogs-2": film(1)})
    return root


def test_davis_2017_gives_the_sequences_of_a_split_with_every_object_apart(davis: Path) -> None:
    found = read_davis(davis, "val")
    (video,) = found.videos
    assert (found.name, found.task, found.split, video.name, video.size) == (
        "DAVIS 2017", "semi-supervised", "val", "dogs-2", SIZE,
    )  # fmt: skip
    one = film(1)
    assert [path.name for path in video.frames[:2]] == ["00000.jpg", "00001.jpg"]
    assert [item.number for item in video.objects] == sorted(np.unique(one.labels[0][one.labels[0] > 0]).tolist())
    assert list(video.masks.annotated) == list(range(len(one.frames)))
    for index, labels in enumerate(one.labels):
        masks = video.masks.at(index).masks
        assert sorted(masks) == sorted(set(np.unique(labels)) - {0})
        assert all((masks[number] == (labels == number)).all() for number in masks)


def test_without_a_split_all_sequences_are_read(davis: Path) -> None:
    assert [video.name for video in read_davis(davis).videos] == ["bear", "dogs-2"]


def test_the_year_2016_takes_all_that_is_marked_as_one_object(davis: Path) -> None:
    (video,) = read_davis(davis, "train", year="2016").videos
    assert [item.number for item in video.objects] == [1]
    assert (video.masks.at(2).masks[1] == (film(0).labels[2] > 0)).all()


def test_the_flat_layout_of_every_second_frame_is_davis_2016(flat: Path) -> None:
    found = read_davis(flat, "train")
    assert found.name == "DAVIS 2016"
    video = found.videos[1]
    assert [path.stem for path in video.frames[:3]] == ["00000", "00002", "00004"]
    assert (video.masks.at(1).masks[1] == (film(1).labels[1] > 0)).all()
    assert video.spoken_name == "dogs"


def test_lists_of_frames_name_their_sequences(flat: Path, tmp_path: Path) -> None:
    root = tmp_path / "DAVIS"
    write_flat(root, {"bear": film(0), "dogs-2": film(1)})
    (root / "ImageSets" / "480p").mkdir(parents=True)
    (root / "ImageSets" / "480p" / "val.txt").write_text(
        "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png\n"
        "/JPEGImages/480p/bear/00002.jpg /Annotations/480p/bear/00002.png\n"
    )
    assert [video.name for video in read_davis(root, "val").videos] == ["bear"]


def test_a_test_set_has_masks_of_the_first_frame_alone(tmp_path: Path) -> None:
    root = tmp_path / "DAVIS"
    write_davis(root, {"bear": film(0)})
    for path in sorted((root / "Annotations" / "480p" / "bear").iterdir())[1:]:
        path.unlink()
    (video,) = read_davis(root).videos
    assert list(video.masks.annotated) == [0]


def test_the_unsupervised_task_reads_its_own_masks_and_leaves_void_out(tmp_path: Path) -> None:
    root = tmp_path / "DAVIS"
    write_davis(root, {"bear": film(0)})
    for index, labels in enumerate(film(0).labels):
        one = (labels == 1).astype(np.uint8)
        one[:4] = 255
        save_labels(root / "Annotations_unsupervised" / "480p" / "bear" / f"{index:05d}.png", one)
    (video,) = read_davis(root, task="unsupervised").videos
    truth = video.masks.at(0)
    assert [item.number for item in video.objects] == [1]
    assert set(truth.masks) == {1}
    assert truth.void is not None
    assert truth.void[:4].all()
    assert not truth.void[4:].any()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_pictures_of_0_and_255_are_one_object(tmp_path: Path, mode: str) -> None:
    marked = film(0).labels[0] > 0
    Image.fromarray(np.where(marked, 255, 0).astype(np.uint8)).convert(mode).save(tmp_path / "mask.png")
    assert (read_labels(tmp_path / "mask.png") == marked).all()


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    root = tmp_path / "DAVIS"
    write_davis(root, {"bear": film(0), "cow": film(1), "dog": film(2), "elk": film(0)})
    for path in (root / "JPEGImages" / "480p" / "bear").iterdir():
        path.unlink()
    (root / "Annotations" / "480p" / "cow" / "00000.png").write_bytes(b"\x89PNG\r\n")
    save_labels(root / "Annotations" / "480p" / "dog" / "00000.png", np.ones((4, 4), np.uint8))
    with pytest.raises(DataError) as caught:
        read_davis(root)
    message = str(caught.value)
    assert "3 problems" in message
    assert "expected frames" in message
    assert "not a PNG" in message
    assert "expected 48 x 64 (height x width) as its frame, found 4 x 4" in message
    kept = read_davis(root, on_problem="skip")
    assert [video.name for video in kept.videos] == ["elk"]
    assert len(kept.problems) == 3


def test_an_unknown_split_names_those_there_are(davis: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'test'; there are: train, val"):
        read_davis(davis, "test")
    with pytest.raises(DataError, match="no such folder; expected DAVIS's layout"):
        read_davis(tmp_path)


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    Image.fromarray(film(0).frames[0]).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="expected object numbers in one channel"):
        read_labels(tmp_path / "mask.png")


def test_sequences_are_held_out_by_name(davis: Path) -> None:
    found = read_davis(davis)
    assert [video.name for video in found.without(["bear"]).videos] == ["dogs-2"]
    assert [video.name for video in found.only(["bear"]).videos] == ["bear"]
    with pytest.raises(DataError, match="no video 'cat'; there are: bear, dogs-2"):
        found.without(["cat"])


def test_clips_of_made_scenes_are_read_with_what_is_said_of_them(tmp_path: Path) -> None:
    for _ in write_scenes(tmp_path, Settings(pictures=0, clips=1, seed=5, size=48), Counter()):
        pass
    (video,) = read_davis(tmp_path / "clips", "train").videos
    assert video.expressions
    numbers = {item.number for item in video.objects}
    assert {number for one in video.expressions for number in one.objects} <= numbers
    for item in video.objects:
        seen = [index for index in video.masks.annotated if item.number in video.masks.at(index).masks]
        assert item.first == seen[0]
