"""A2D and JHMDB sentences are read from the files of their authors: lists, HDF5, MATLAB's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from referent.data.actors.matlab import read_matlab
from referent.data.loading import open_dataset
from referent.errors import DataError

HEIGHT, WIDTH = 24, 36


def mask_at(left: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[5:15, left : left + 6] = True
    return mask


def write_frame(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(path)


@pytest.fixture
def a2d(tmp_path: Path) -> Path:
    """One video to train on with two actors, of whom one leaves; one to test; one that is to be left out."""
    h5py = pytest.importorskip("h5py")
    (tmp_path / "a2d_annotation.txt").write_text(
        "video_id,instance_id,query\n"
        'aaa,0,"a man, in red, jumping"\naaa,1,a dog running\nbbb,0,the bird flies\nccc,0,gone\n'
    )
    (tmp_path / "a2d_missed_videos.txt").write_text("ccc\n")
    (tmp_path / "Release").mkdir()
    rows = [f"{name},11,0:0,0:5,{HEIGHT},{WIDTH},99,3,{use}\n" for name, use in (("aaa", 0), ("bbb", 1), ("ccc", 0))]
    (tmp_path / "Release" / "videoset.csv").write_text("".join(rows))
    for video, frame, actors in (("aaa", 20, {0: 3, 1: 20}), ("aaa", 40, {0: 9}), ("bbb", 30, {0: 1})):
        write_frame(tmp_path / "Release" / "pngs320H" / video / f"{frame:05d}.png")
        folder = tmp_path / "a2d_annotation_with_instances" / video
        folder.mkdir(parents=True, exist_ok=True)
        masks = np.stack([mask_at(left).T for left in actors.values()]).astype(np.uint8)
        with h5py.File(folder / f"{frame:05d}.h5", "w") as file:
            file["instance"] = np.array([list(actors)], dtype=float)
            # As MATLAB writes a single one.
            file["reMask"] = masks if len(masks) > 1 else masks[0]
    return tmp_path


def test_a2d_asks_every_sentence_of_every_annotated_frame_that_shows_its_actor(a2d: Path) -> None:
    found = open_dataset(a2d, "train")
    assert found.name == "A2D Sentences"
    assert [(sample.id, str(sample.reference)) for sample in found.samples] == [
        ("aaa/00020/0", "a man, in red, jumping"),
        ("aaa/00020/1", "a dog running"),
        ("aaa/00040/0", "a man, in red, jumping"),
    ]
    assert all((sample.mask() == mask_at(left)).all() for sample, left in zip(found.samples, (3, 20, 9), strict=True))
    assert [sample.picture.name for sample in open_dataset(a2d, "test").samples] == ["00030.png"]


def test_what_is_wrong_with_a2d_is_named(a2d: Path) -> None:
    (a2d / "Release" / "pngs320H" / "bbb" / "00030.png").unlink()
    (a2d / "a2d_annotation_with_instances" / "aaa" / "00020.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="2 problems") as caught:
        open_dataset(a2d)
    assert "no such frame" in str(caught.value)
    assert "expected HDF5 with `instance` and `reMask`" in str(caught.value)
    with pytest.raises(DataError, match="no split 'val'; there are: train, test"):
        open_dataset(a2d, "val")


@pytest.fixture
def jhmdb(tmp_path: Path) -> Path:
    scipy = pytest.importorskip("scipy.io")
    (tmp_path / "jhmdb_annotation.txt").write_text("video_id,query\nrun_1,a man running to the right\n")
    folder = tmp_path / "puppet_mask" / "run" / "run_1"
    folder.mkdir(parents=True)
    masks = np.stack([mask_at(3), mask_at(9), np.zeros((HEIGHT, WIDTH), bool)], axis=2).astype(np.uint8)
    scipy.savemat(folder / "puppet_mask.mat", {"part_mask": masks}, do_compression=True)
    for number in range(1, 5):
        write_frame(tmp_path / "Rename_Images" / "run" / "run_1" / f"{number:05d}.png")
    return tmp_path


def test_jhmdb_asks_a_videos_sentence_of_all_its_annotated_frames(jhmdb: Path) -> None:
    found = open_dataset(jhmdb, "test")
    assert [sample.id for sample in found.samples] == ["run_1/00001", "run_1/00002", "run_1/00003"]
    first, second, last = found.samples
    assert (first.mask() == mask_at(3)).all()
    assert (second.mask() == mask_at(9)).all()
    assert len(last.targets) == 0
    with pytest.raises(DataError, match="no split 'train'; there is: test"):
        open_dataset(jhmdb, "train")


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["uint8", "int16", "double", "single"])
def test_arrays_in_matlab_files_are_read_as_scipy_writes_them(tmp_path: Path, packed: bool, kind: str) -> None:
    scipy = pytest.importorskip("scipy.io")
    numbers = np.random.default_rng(0).integers(0, 100, (5, 7, 3)).astype(np.dtype("f4" if kind == "single" else kind))
    content: dict[str, Any] = {
        "a": numbers,
        "text": "hello",
        "small": np.array([[3]], np.uint8),
        "last": numbers[..., 0],
    }
    scipy.savemat(tmp_path / "file.mat", content, do_compression=packed)
    assert (read_matlab(tmp_path / "file.mat", "a") == numbers).all()
    assert (read_matlab(tmp_path / "file.mat", "last") == numbers[..., 0]).all()
    assert read_matlab(tmp_path / "file.mat", "small").tolist() == [[3]]
    with pytest.raises(DataError, match="expected an array 'b', found a, small, last"):
        read_matlab(tmp_path / "file.mat", "b")


def test_files_that_are_cut_off_or_something_else_are_refused(tmp_path: Path, jhmdb: Path) -> None:
    whole = (jhmdb / "puppet_mask" / "run" / "run_1" / "puppet_mask.mat").read_bytes()
    for length, message in ((len(whole) // 2 + 80, "cut off or damaged"), (100, "expected a MATLAB file of version 5")):
        (tmp_path / "cut.mat").write_bytes(whole[:length])
        with pytest.raises(DataError, match=message):
            read_matlab(tmp_path / "cut.mat", "part_mask")
