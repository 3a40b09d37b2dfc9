from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from example_colours import shown_colours
from PIL import Image

from referent.evaluation.tables import fill
from referent.rle import encode

BLUE_BOX = (80, 30, 110, 70)


@pytest.fixture
def data(tmp_path: Path, paint) -> Path:
    """Four pictures with a red car in different places and the same blue bus; the fourth has no file's worth of bus."""
    images, annotations = [], []
    for number in range(1, 5):
        car = (10 * number, 20, 10 * number + 24, 50)
        paint(car).save(tmp_path / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 96, "width": 128, "split": "val"})
        for category, (x0, y0, x1, y1) in ((1, car), (2, BLUE_BOX)):
            mask = np.zeros((96, 128), dtype=bool)
            mask[y0:y1, x0:x1] = True
            one = {"id": 10 * category + number, "image_id": number, "category_id": category}
            annotations.append({**one, "segmentation": encode(mask)})
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations[:-1], "categories": categories}))
    return path


@pytest.fixture
def zoo(monkeypatch):
    model = shown_colours()
    monkeypatch.setattr("referent.segmenter.load", lambda name, device=None, dtype=None, clip=None: model)
    return model


@pytest.mark.usefixtures("zoo")
def test_classes_asked_by_examples_are_scored_over_seeds(run, data, tiny_weights, tmp_path):
    out, save = tmp_path / "result.json", tmp_path / "predictions.jsonl"
    few = ("--shots", 2, "--seeds", 3, "--episodes", 8)
    ended = run("evaluate", tiny_weights, data, *few, "--out", out, "--save", save)
    assert (ended.code, ended.err) == (0, "")
    for said in ("24 episodes about 2 classes", "mean of 3 seeds", "class-mIoU", "FB-IoU", "IoU by class: ", "fss v1"):
        assert said in ended.out
    result = json.loads(out.read_text())
    assert list(result["scores"]) == ["fss"]
    assert result["few_shot"]["spreads"]["fss"]["class-mIoU"]["mean"] > 0.9
    assert result["source"]["few_shot"]["classes"] == ["car", "bus"]
    assert [len(episodes) for episodes in result["few_shot"]["episodes"].values()] == [8, 8, 8]
    again = run("evaluate", tiny_weights, data, *few, "--save", save, "--json")
    assert json.loads(again.out)["resumed"] == 24

    assert run("look", out, "--cases", 6).code == 0
    page, pictures = (tmp_path / "result-look" / name for name in ("index.html", "pictures"))
    shown = sorted(path.name for path in pictures.glob("*-examples.webp"))
    assert shown
    assert all(f'src="pictures/{name}" alt="asked by example ' in page.read_text() for name in shown)

    columns = "seeds:class-mIoU, FB=seeds:FB-IoU, Names=source.few_shot.classes, classes"
    page = f'<!-- table: files="result.json" columns="{columns}" -->\n<!-- end table -->\n'
    (row,) = fill(page, tmp_path).splitlines()[3:-1]
    assert row.count("±") == 2
    assert row.endswith('| ["car", "bus"] | 2 |')


@pytest.mark.usefixtures("zoo")
def test_left_out_classes_are_not_asked_and_names_may_be_said(run, data, tiny_weights, tmp_path):
    names = tmp_path / "left_out.txt"
    names.write_text("bus\n")
    out = tmp_path / "result.json"
    few = ("--shots", 1, "--seeds", 1, "--episodes", 5, "--out", out)
    run("evaluate", tiny_weights, data, *few, "--leave-out", names)
    assert list(json.loads(out.read_text())["few_shot"]["classes"]) == ["car"]
    run("evaluate", tiny_weights, data, *few, "--classes", names, "--named")
    result = json.loads(out.read_text())
    assert list(result["few_shot"]["classes"]) == ["bus"]
    assert "bus + example bus/" in result["few_shot"]["episodes"]["0"][0]
    # Three pictures are asked about once each, by the first of the others.
    run("evaluate", tiny_weights, data, *few, "--classes", "bus", "--listing", "first")
    assert json.loads(out.read_text())["few_shot"]["episodes"] == {
        "0": ["0 bus/1: example bus/2", "1 bus/2: example bus/1", "2 bus/3: example bus/1"]
    }
    notes = json.loads(out.read_text())["scores"]["fss"]["notes"]
    assert notes == ["each picture of a class is asked about once, by the first other ones"]


def of_splits(data: Path, *splits: str) -> None:
    content = json.loads(data.read_text())
    for image, split in zip(content["images"], splits, strict=True):
        image["split"] = split
    data.write_text(json.dumps(content))


@pytest.mark.usefixtures("zoo")
def test_several_splits_are_asked_about_and_shown_without_the_others(run, data, tiny_weights, tmp_path):
    of_splits(data, "val", "test", "test", "train")
    out = tmp_path / "result.json"
    few = ("--shots", 1, "--seeds", 1, "--classes", "car", "--save", tmp_path / "p.jsonl", "--out", out)
    assert run("evaluate", tiny_weights, data, *few, "--split", "val,test", "--episodes", 12).code == 0
    result = json.loads(out.read_text())
    assert (result["split"], result["source"]["split"]) == ("test,val", "val,test")
    assert not any("car/4" in episode for episode in result["few_shot"]["episodes"]["0"])
    assert run("look", out).code == 0
    ended = run("evaluate", tiny_weights, data, *few, "--split", "val,all")
    assert ended.code == 2
    assert "no split 'all'; there are: val, test, train" in ended.err


@pytest.mark.usefixtures("zoo")
@pytest.mark.parametrize("older", [False, True])
def test_episodes_are_shown_from_all_splits_where_a_few_ask_about_some(run, data, tiny_weights, tmp_path, older):
    of_splits(data, "a", "b", "c", "d")
    out = tmp_path / "result.json"
    few = ("--shots", 1, "--seeds", 1, "--episodes", 2, "--classes", "car")
    run("evaluate", tiny_weights, data, *few, "--split", "all", "--save", tmp_path / "p.jsonl", "--out", out)
    result = json.loads(out.read_text())
    assert (result["split"].count(","), result["source"]["split"]) == (1, "all")
    if older:
        del result["source"]["split"]
        out.write_text(json.dumps(result))
    assert run("look", out).code == 0


@pytest.mark.usefixtures("zoo")
def test_an_example_that_cannot_be_used_is_named_counted_and_left_out(run, data, tiny_weights, tmp_path):
    content = json.loads(data.read_text())
    content["annotations"][-1]["segmentation"]["counts"] = "broken counts"
    data.write_text(json.dumps(content))
    ended = run("evaluate", tiny_weights, data, "--shots", 1, "--seeds", 1, "--episodes", 20, "--json")
    assert ended.code == 1
    result = json.loads(ended.out)
    assert 0 < sum(failure["phrases"] for failure in result["failed"]) == 20 - result["phrases"] < 20
    assert "instances.json: annotation 14" in result["failed"][0]["error"]


@pytest.mark.usefixtures("zoo")
def test_a_picture_of_another_size_than_the_data_say_fails_as_query_and_as_example(
    run, data, paint, tiny_weights, tmp_path
):
    paint((20, 20, 44, 50), 130, 90).save(tmp_path / "2.png")
    ended = run("evaluate", tiny_weights, data, "--shots", 1, "--seeds", 1, "--episodes", 30, "--json")
    assert ended.code == 1
    result = json.loads(ended.out)
    errors = {failure["error"] for failure in result["failed"]}
    assert any("2.png: the data set says 128 x 96, the picture is 130 x 90" in error for error in errors)
    assert any("/2: mask: RLE of size [96, 128], expected [90, 130]" in error for error in errors)
    assert result["phrases"] > 0


@pytest.mark.usefixtures("zoo")
def test_pascal_vocs_folder_is_not_taken_for_videos(run, paint, tiny_weights, tmp_path):
    voc = tmp_path / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClassAug", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for name, left in (("a", 8), ("b", 20)):
        paint((left, 20, left + 24, 50)).save(voc / "JPEGImages" / f"{name}.jpg", quality=95)
        labels = np.zeros((96, 128), dtype=np.uint8)
        labels[18:52, left - 2 : left + 26], labels[20:50, left : left + 24] = 255, 7
        Image.fromarray(labels).save(voc / "SegmentationClassAug" / f"{name}.png")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("a\nb\n")
    few = ("--shots", 1, "--seeds", 1, "--episodes", 4, "--classes", "@pascal-5i/1", "--json")
    ended = run("evaluate", tiny_weights, voc, *few)
    assert (ended.code, ended.err) == (0, "")
    result = json.loads(ended.out)
    assert result["few_shot"]["classes"]["car"] > 0.95
    assert result["few_shot"]["spreads"]["fss"]["FB-IoU"]["mean"] > 0.95
    ended = run("evaluate", tiny_weights, voc)
    assert ended.code == 2
    assert "holds PASCAL VOC's class masks: ask for its classes by examples, --shots 1" in ended.err


@pytest.mark.usefixtures("colour_zoo")
def test_a_model_that_takes_no_examples_says_so_and_which_do(run, data, tiny_weights):
    ended = run("evaluate", tiny_weights, data, "--shots", 1)
    assert ended.code == 2
    assert "colours takes phrases; for an example use unirefpp" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seeds", 3), "--seeds: expected --shots beside it"),
        (("--classes", "car", "--named"), "--classes, --named: expected --shots beside it"),
        (("--shots", 1, "--listing", "all"), "listing: expected drawn, every, first, found 'all'"),
        (("--shots", 1, "--class-names"), "leave out --class-names and --raw"),
        (("--shots", 1, "--classes", "ox"), "no picture shows ox; there are: bus, car"),
        (("--shots", 4), "expected classes of at least 5 pictures, found at most 4"),
    ],
)
@pytest.mark.usefixtures("zoo")
def test_options_that_do_not_fit_are_refused(run, data, tiny_weights, options, said):
    ended = run("evaluate", tiny_weights, data, *options)
    assert ended.code == 2
    assert said in ended.err
