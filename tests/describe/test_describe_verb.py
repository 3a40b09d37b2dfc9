"""`referent describe` on whole files: what it writes, that it repeats itself, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from painted import Thing, scene_of
from PIL import Image

from referent.data.coco import read_coco
from referent.data.describe.run import Settings, annotates_regions, describe
from referent.data.loading import open_dataset
from referent.rle import decode, encode

PICTURES = {
    "row.png": [Thing("cat", 20, 100, 80, 160), Thing("cat", 130, 100, 190, 160), Thing("cat", 230, 100, 290, 160)],
    "red.png": [Thing("car", 20, 100, 100, 150, "red"), Thing("car", 200, 100, 280, 150, "white")],
    "dog.png": [Thing("dog", 20, 20, 100, 220)],
    "empty.png": [],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    categories = [{"id": i, "name": name} for i, name in enumerate(("cat", "car", "dog", "zebra"), start=1)]
    numbers = {category["name"]: category["id"] for category in categories}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (tmp_path / "images").mkdir()
    for image_id, (name, things) in enumerate(PICTURES.items(), start=1):
        picture = np.full((240, 320, 3), (120, 100, 150), dtype=np.uint8)
        picture[120:] = (150, 120, 90)
        scene = scene_of(*things)
        for thing, mask in zip(things, scene.masks, strict=True):
            picture[mask] = {"red": (215, 30, 35), "white": (250, 250, 250)}.get(thing.paint, (150, 165, 110))
            annotations.append(
                {
                    "id": 10 * image_id + len(annotations),
                    "image_id": image_id,
                    "category_id": numbers[thing.name],
                    "iscrowd": 0,
                    "segmentation": encode(mask),
                }
            )
        Image.fromarray(picture).save(tmp_path / "images" / name)
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "width": 320,
                "height": 240,
                "split": "val" if image_id == 3 else "train",
            }
        )
    content = {"info": {"year": 1}, "images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return tmp_path


def referent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from referent.cli.main import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def phrases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["phrases"]
    return found


def test_it_writes_a_data_set_that_loads(folder: Path) -> None:
    done = referent("describe", folder / "coco.json", "--out", folder / "phrases.json", "--per-target", "60")
    assert done.returncode == 0, done.stderr
    dataset = open_dataset(folder / "phrases.json", None)
    assert {sample.tags["kind"] for sample in dataset.samples} >= {"name", "plural", "position", "order", "none"}
    assert all(bool(sample.targets) == (sample.tags["kind"] != "none") for sample in dataset.samples)
    assert {sample.split for sample in dataset.samples} == {"train", "val"}
    middles = [
        decode(sample.targets[0])[110].argmax()
        for sample in dataset.samples
        if sample.tags["name"] == "cat" and "middle" in str(sample.reference) and sample.targets
    ]
    assert middles
    assert set(middles) == {130}
    content = json.loads((folder / "phrases.json").read_text())
    assert content["info"] == {"year": 1}
    assert len(content["annotations"]) == 6


def test_a_class_without_any_annotation_is_not_said_to_be_absent(folder: Path) -> None:
    referent("describe", folder / "coco.json", "--out", folder / "phrases.json", "--none-share", "0.6")
    denied = {phrase["tags"]["name"] for phrase in phrases(folder / "phrases.json") if not phrase["annotation_ids"]}
    assert denied
    assert "zebra" not in denied


def test_a_picture_without_annotations_gets_no_phrases(folder: Path) -> None:
    referent("describe", folder / "coco.json", "--out", folder / "phrases.json", "--none-share", "0.6")
    assert not any(phrase["image_id"] == 4 for phrase in phrases(folder / "phrases.json"))


def test_the_same_seed_gives_the_same_file_and_another_gives_another(folder: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        referent("describe", folder / "coco.json", "--out", folder / f"{name}.json", "--seed", seed)
    same, again, other = (phrases(folder / f"{name}.json") for name in "abc")
    assert same == again
    assert same != other


def test_neither_order_nor_company_changes_a_pictures_phrases(folder: Path) -> None:
    whole = {done.image.id: done.phrases for done in describe(read_coco(folder / "coco.json"), Settings(regions=False))}
    content = json.loads((folder / "coco.json").read_text())
    content["images"].reverse()
    content["annotations"].reverse()
    (folder / "turned.json").write_text(json.dumps(content))
    turned = {
        done.image.id: done.phrases for done in describe(read_coco(folder / "turned.json"), Settings(regions=False))
    }
    assert whole == turned


def test_per_target_bounds_the_phrases_of_one_object(folder: Path) -> None:
    coco = read_coco(folder / "coco.json")
    for picture in describe(coco, Settings(per_target=0, none_share=0.0)):
        assert all(tags["kind"] in ("name", "plural") for _, _, tags in picture.phrases)


def test_none_share_is_met_on_average(folder: Path) -> None:
    coco = read_coco(folder / "coco.json")
    kinds = [
        tags["kind"]
        for seed in range(60)
        for picture in describe(coco, Settings(seed=seed, none_share=0.1))
        for _, _, tags in picture.phrases
    ]
    assert 0.08 < kinds.count("none") / len(kinds) < 0.12


def test_few_pictures_do_not_make_regions(folder: Path) -> None:
    assert not annotates_regions(read_coco(folder / "coco.json"))


def test_regions_are_named_only(folder: Path) -> None:
    coco = read_coco(folder / "coco.json")
    kinds = {tags["kind"] for picture in describe(coco, Settings(regions=True)) for _, _, tags in picture.phrases}
    assert kinds <= {"name", "plural", "none"}


def test_large_pictures_are_measured_shrunk(folder: Path) -> None:
    small = {done.image.id: done.phrases for done in describe(read_coco(folder / "coco.json"), Settings(per_target=50))}
    content = json.loads((folder / "coco.json").read_text())
    for image in content["images"]:
        path = folder / "images" / image["file_name"]
        Image.open(path).resize((1280, 960), Image.Resampling.NEAREST).save(path)
        image.update(width=1280, height=960)
    for annotation in content["annotations"]:
        mask = decode(annotation["segmentation"])
        annotation["segmentation"] = encode(mask.repeat(4, axis=0).repeat(4, axis=1))
    (folder / "coco.json").write_text(json.dumps(content))
    large = {done.image.id: done.phrases for done in describe(read_coco(folder / "coco.json"), Settings(per_target=50))}
    assert small == large


def test_human_phrases_of_annotations_stay(folder: Path) -> None:
    content = json.loads((folder / "coco.json").read_text())
    content["annotations"][0]["phrases"] = ["the one that I like"]
    (folder / "coco.json").write_text(json.dumps(content))
    assert referent("describe", folder / "coco.json", "--out", folder / "phrases.json").returncode == 0
    assert json.loads((folder / "phrases.json").read_text())["annotations"][0]["phrases"] == ["the one that I like"]


def test_a_file_described_before_is_refused(folder: Path) -> None:
    referent("describe", folder / "coco.json", "--out", folder / "phrases.json")
    before = (folder / "phrases.json").read_bytes()
    done = referent("describe", folder / "phrases.json", "--out", folder / "phrases.json")
    assert done.returncode == 2
    assert "already" in done.stderr
    assert (folder / "phrases.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"images": []}'])
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "coco.json").write_text(content)
    done = referent("describe", tmp_path / "coco.json", "--out", tmp_path / "phrases.json")
    assert done.returncode == 2
    assert "coco.json" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "phrases.json").exists()


def test_a_missing_out_folder_is_refused_before_the_work(folder: Path) -> None:
    done = referent("describe", folder / "coco.json", "--out", folder / "nowhere" / "phrases.json")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_a_folder_is_refused_as_the_file_before_the_work(folder: Path) -> None:
    (folder / "images" / "dog.png").unlink()
    done = referent("describe", folder / "coco.json", "--out", folder / "images")
    assert done.returncode == 2
    assert "images: cannot be written: it is a folder" in done.stderr


def test_a_missing_picture_is_named(folder: Path) -> None:
    (folder / "images" / "dog.png").unlink()
    done = referent("describe", folder / "coco.json", "--out", folder / "phrases.json")
    assert done.returncode == 2
    assert "dog.png" in done.stderr


def test_pictures_may_lie_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "images").rename(folder / "photographs")
    done = referent(
        "describe", folder / "coco.json", "--out", folder / "phrases.json", "--pictures", folder / "photographs"
    )
    assert done.returncode == 0, done.stderr
    assert phrases(folder / "phrases.json")


def test_a_truncated_picture_is_named_and_the_others_are_described(folder: Path) -> None:
    path = folder / "images" / "dog.png"
    path.write_bytes(path.read_bytes()[:120])
    done = referent("describe", folder / "coco.json", "--out", folder / "phrases.json")
    assert done.returncode == 1
    assert "dog.png" in done.stderr
    assert {phrase["image_id"] for phrase in phrases(folder / "phrases.json")} == {1, 2}


def test_a_share_of_one_is_a_wrong_call(folder: Path) -> None:
    done = referent("describe", folder / "coco.json", "--out", folder / "phrases.json", "--none-share", "1")
    assert done.returncode == 2
