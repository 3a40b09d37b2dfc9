"""Written data sets: the same bytes every time, read by ours, by `refer`'s way of reading, and as DAVIS."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from referent.data.loading import open_dataset
from referent.data.scenes.clips import LENGTH, sample_clip
from referent.data.scenes.examples import example
from referent.data.scenes.outlines import outlines
from referent.data.scenes.tracing import trace
from referent.data.scenes.writing import Settings, write_scenes
from referent.data.videos.label_pictures import palette
from referent.errors import DataError
from referent.rle import decode

PLAN = Settings(pictures=10, clips=1, seed=5, size=64)
SIZE = (64, 64)


def made(out: Path, plan: Settings = PLAN) -> Path:
    for _ in write_scenes(out, plan, Counter()):
        pass
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("scenes") / "out")


def test_the_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    assert contents(made(tmp_path / "again")) == contents(written)


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(written: Path, tmp_path: Path) -> None:
    steps = write_scenes(tmp_path / "out", PLAN, Counter())
    for _ in range(4):
        next(steps)
    steps.close()
    assert not (tmp_path / "out" / "phrases.jsonl").exists()
    first = tmp_path / "out" / "images" / "000000.png"
    before = first.stat().st_mtime_ns
    assert contents(made(tmp_path / "out")) == contents(written)
    assert first.stat().st_mtime_ns == before


def test_a_picture_does_not_depend_on_how_many_are_made(written: Path, tmp_path: Path) -> None:
    few = made(tmp_path / "few", Settings(pictures=2, seed=5, size=64))
    for name in ("000000.png", "000001.png"):
        assert (few / "images" / name).read_bytes() == (written / "images" / name).read_bytes()


def test_a_folder_of_another_kind_or_seed_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"was made with .*\"seed\": 5.*not with .*\"seed\": 6"):
        made(written, Settings(pictures=10, clips=1, seed=6, size=64))
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not empty, and not made by this command"):
        made(tmp_path)
    with pytest.raises(DataError, match="expected a folder, found a file"):
        made(tmp_path / "thesis.txt")


def test_our_lines_open_as_a_data_set(written: Path) -> None:
    dataset = open_dataset(written / "phrases.jsonl")
    expected = [(index, said) for index in range(PLAN.pictures) for said in example(5, index, SIZE).said]
    assert len(dataset.samples) == len(expected)
    for sample, (index, said) in zip(dataset.samples, expected, strict=True):
        if sample.id.endswith("-0"):
            seen = example(5, index, SIZE).seen
        assert sample.reference.phrase is not None
        assert sample.reference.phrase.text == said.phrase
        assert sample.tags["kind"] == said.kind
        masks = [decode(target) for target in sample.targets]
        assert [mask.tobytes() for mask in masks] == [seen.masks[target].tobytes() for target in said.targets]
    assert {sample.split for sample in dataset.samples} == {"train", "val", "test"}


def test_the_refer_layout_opens_as_the_same_data_set(written: Path) -> None:
    ours = open_dataset(written / "phrases.jsonl")
    for split in ("train", "val", "test", None):
        published = open_dataset(written / "refer", split)
        asked = [sample for sample in ours.samples if split in (None, sample.split)]
        assert contents_of(published.samples) == contents_of(asked)


def contents_of(samples: Any) -> set[tuple[str, str, bytes]]:
    return {(sample.picture.name, sample.reference.phrase.text, sample.mask().tobytes()) for sample in samples}


def test_single_objects_open_as_the_split_of_refcocog(written: Path) -> None:
    published = open_dataset(written / "refer" / "refs(umd).p", "test")
    ours = open_dataset(written / "phrases.jsonl", "test")
    assert contents_of(published.samples) == contents_of(s for s in ours.samples if len(s.targets) == 1)


def test_refs_read_the_way_the_toolbox_reads_them_have_the_exact_masks(written: Path) -> None:
    refs = pickle.loads((written / "refer" / "refs(umd).p").read_bytes())
    instances = json.loads((written / "refer" / "instances.json").read_text())
    images = {image["id"]: image for image in instances["images"]}
    annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
    names = {category["id"]: category["name"] for category in instances["categories"]}
    by_phrase = {(s.picture.name, s.reference.phrase.text): s for s in open_dataset(written / "phrases.jsonl").samples}
    for ref in refs:
        annotation, image = annotations[ref["ann_id"]], images[ref["image_id"]]
        assert annotation["image_id"] == ref["image_id"]
        assert ref["category_id"] == annotation["category_id"]
        assert names[ref["category_id"]] in ("sphere", "cube", "cylinder")
        drawn = coco_mask.decode(coco_mask.frPyObjects(annotation["segmentation"], image["height"], image["width"]))
        summed = drawn.sum(axis=2)
        assert summed.max() == 1
        assert summed.sum() == annotation["area"]
        x, y, width, height = annotation["bbox"]
        assert summed[y : y + height, x : x + width].sum() == annotation["area"]
        assert ref["sent_ids"] == [sentence["sent_id"] for sentence in ref["sentences"]]
        for sentence in ref["sentences"]:
            assert sentence["tokens"] == sentence["sent"].split()
            assert (by_phrase[ref["file_name"], sentence["sent"]].mask() == summed.astype(bool)).all()


@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_outlines_draw_any_mask_exactly_and_never_twice(height: int, width: int, random: Any) -> None:
    share = random.random()
    mask = np.array([[random.random() < share for _ in range(width)] for _ in range(height)])
    mask[random.randrange(height), random.randrange(width)] = True
    drawn = coco_mask.decode(coco_mask.frPyObjects(outlines(mask), height, width)).sum(axis=2)
    assert (drawn == mask).all()


def test_scenes_are_written_with_boxes_and_relations_as_clevr_has_them(written: Path) -> None:
    for line, index in zip((written / "scenes.jsonl").read_text().splitlines(), range(PLAN.pictures), strict=True):
        record, seen = json.loads(line), example(5, index, SIZE).seen
        assert record["image"] == f"images/{index:06d}.png"
        for thing, mask, full in zip(record["things"], seen.masks, seen.full, strict=True):
            assert (decode(thing["mask"]) == mask).all()
            assert (decode(thing["full"]) == full).all()
            x0, y0, x1, y1 = thing["box"]
            assert mask[y0:y1, x0:x1].sum() == mask.sum()
            assert mask[y0:y1, x0].any()
            assert mask[y1 - 1, x0:x1].any()
        for one in range(len(record["things"])):
            for other in record["relations"]["left"][one]:
                assert one in record["relations"]["right"][other]


def test_clips_lie_as_davis_with_an_id_mask_for_every_frame(written: Path) -> None:
    clips, clip = written / "clips", sample_clip(5, 0, SIZE)
    assert (clips / "ImageSets" / "2017" / "train.txt").read_text().split() == ["00000"]
    frames = sorted((clips / "JPEGImages" / "480p" / "00000").iterdir())
    masks = sorted((clips / "Annotations" / "480p" / "00000").iterdir())
    assert [path.stem for path in frames] == [path.stem for path in masks] == [f"{n:05d}" for n in range(LENGTH)]
    objects = json.loads((clips / "meta.json").read_text())["videos"]["00000"]["objects"]
    for path, scene in zip(masks, clip.scenes, strict=True):
        image = Image.open(path)
        assert image.mode == "P"
        found = np.asarray(image)
        for number, mask in enumerate(trace(scene, SIZE).masks, start=1):
            assert ((found == number) == mask).all()
            assert (path.stem in objects[str(number)]["frames"]) == mask.any()


def test_expressions_name_objects_of_their_clip(written: Path) -> None:
    folder = written / "clips" / "meta_expressions"
    video = json.loads((folder / "train" / "meta_expressions.json").read_text())["videos"]["00000"]
    assert len(video["frames"]) == LENGTH
    assert video["expressions"]
    objects = json.loads((written / "clips" / "meta.json").read_text())["videos"]["00000"]["objects"]
    assert {expression["obj_id"] for expression in video["expressions"].values()} <= set(objects)
    assert json.loads((folder / "val" / "meta_expressions.json").read_text()) == {"videos": {}}


def test_the_palette_is_that_of_davis() -> None:
    colours = np.array(palette()).reshape(256, 3)
    assert colours[:4].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colours[15].tolist() == [192, 128, 128]
    assert len({tuple(colour) for colour in colours.tolist()}) == 256
