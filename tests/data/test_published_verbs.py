"""Published data sets through the command line: looked over, evaluated, trained on."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from published_data import REFS, coco_name, save, task, write_grefs, write_phrasecut, write_refer

from referent.data.published.counts import COUNTS, Count
from referent.data.published.sources import PICTURES, SOURCES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_refer(tmp_path / "data" / "refcoco")
    return tmp_path / "data"


@pytest.fixture
def pictures(root: Path) -> Path:
    return root / "images" / "mscoco" / "images" / "train2014"


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the little data set of these tests were the published RefCOCO."""
    counts = {
        "train": Count(2, 3, 1, "here"),
        "val": Count(1, 3, 1, "here"),
        "testA": Count(1, 1, None, "here"),
        "testB": Count(None, 2, 1, "here"),
    }
    monkeypatch.setattr("referent.data.published.check.COUNTS", {("refcoco", "unc"): counts})


@pytest.mark.usefixtures("published")
def test_a_whole_data_set_is_called_whole(run, root):
    ended = run("data", "check", root)
    assert ended.code == 0, ended.out
    assert f"{root}/refcoco/refs(unc).p (RefCOCO)" in ended.out
    assert ended.out.count("as published") == 4
    assert "all 4 pictures are there" in ended.out


@pytest.mark.usefixtures("published")
def test_what_is_not_there_is_named_with_where_to_get_it(run, root):
    out = run("data", "check", root).out
    assert f"not in {root}:" in out
    assert (
        "refcocog: refs(umd).p, refs(google).p, instances.json: get https://web.archive.org/web/20220413012904/" in out
    )
    assert "(its first place, https://bvisionweb1.cs.unc.edu/licheng/referit/data/refcocog.zip, is gone)" in out
    assert "  refcoco: " not in out


def test_counts_other_than_published_stand_side_by_side(run, root):
    ended = run("data", "check", root)
    assert ended.code == 1
    assert "2 of 42,404" in ended.out
    assert "other than published" in ended.out


@pytest.mark.usefixtures("published")
def test_a_split_that_should_be_there_is_missed(run, root):
    write_refer(root / "refcoco", REFS[:4])
    ended = run("data", "check", root)
    assert ended.code == 1
    assert "testB" in ended.out
    assert "0 of 2" in ended.out


@pytest.mark.usefixtures("published")
def test_pictures_that_are_missing_or_of_another_size_or_no_pictures_are_named(run, root, pictures):
    (pictures / coco_name(11)).unlink()
    save(pictures / coco_name(12), (20, 30))
    (pictures / coco_name(13)).write_bytes(b"not found")
    ended = run("data", "check", root)
    assert ended.code == 1
    assert "1 of 4 pictures are missing, looked for in" in ended.out
    assert f"    {coco_name(11)}\n" in ended.out
    assert "get COCO train2014: http://images.cocodataset.org/zips/train2014.zip" in ended.out
    assert "2 pictures are not as the annotations say:" in ended.out
    assert f"{coco_name(12)}: 20 x 30, the annotations say 40 x 30" in ended.out
    assert f"{coco_name(13)}: expected a picture" in ended.out


@pytest.mark.usefixtures("published")
def test_a_damaged_data_set_does_not_end_the_check(run, root):
    write_refer(root / "refcocog", variant="umd")
    (root / "refcocog" / "refs(umd).p").write_bytes(b"\x80\x02]")
    (root / "refgta").mkdir()
    (root / "unknown").mkdir()
    ended = run("data", "check", root)
    assert ended.code == 1
    assert "refs(umd).p: cut off or damaged" in ended.out
    assert "cannot be used: expected refs(utokyo).p, instances.json, found none of them" in ended.out
    assert "as published" in ended.out
    assert "unknown" not in ended.out


def test_every_splitting_and_every_kind_of_data_set_is_counted(run, root):
    write_refer(root / "refcoco", REFS, variant="google")
    write_grefs(root / "grefcoco", REFS)
    write_phrasecut(root / "VGPhraseCut_v0", {"miniv": [task("5__1", 5, "a cat", [[[[1, 1], [9, 1], [9, 9]]]])]})
    out = run("data", "check", root).out
    for shown in ("refs(google).p (RefCOCO)", "refs(unc).p (RefCOCO)", "grefs(unc).json (gRefCOCO)", "(PhraseCut)"):
        assert shown in out
    assert "no published counts" in out
    assert "1 of 821" in out


@pytest.mark.usefixtures("published")
def test_one_data_set_may_be_looked_over_alone(run, root):
    ended = run("data", "check", root / "refcoco")
    assert ended.code == 0
    assert "not in" not in ended.out


def test_a_folder_of_nothing_and_no_folder_are_told_apart(run, tmp_path):
    (tmp_path / "empty").mkdir()
    ended = run("data", "check", tmp_path / "empty")
    assert (ended.code, "is a published data set" in ended.out) == (1, True)
    ended = run("data", "check", tmp_path / "gone")
    assert (ended.code, ended.err) == (2, f"referent: {tmp_path}/gone: expected a folder, found nothing\n")


def test_published_counts_add_up_to_the_published_totals():
    totals = {
        key: sum(count.sentences or 0 for count in splits.values())
        for key, splits in COUNTS.items()
        if key[1] != "google"
    }
    assert totals["refcoco", "unc"] == 142_210
    assert totals["refcoco+", "unc"] == 141_564
    google = COUNTS["refcocog", "google"].values()
    assert totals["refcocog", "umd"] == 95_010 == sum(count.sentences or 0 for count in google)
    assert sum(count.refs or 0 for count in COUNTS["refcoco", "unc"].values()) == 50_000
    for name, _ in COUNTS:
        assert name in SOURCES
    assert {source.pictures for source in SOURCES.values()} == set(PICTURES)


# Evaluated and trained on


@pytest.mark.usefixtures("colour_zoo")
def test_a_published_folder_is_evaluated_by_split(run, root, tmp_path, tiny_weights):
    out = tmp_path / "result.json"
    ended = run(
        "evaluate", tiny_weights, root / "refcoco", "--split", "testB", "--protocol", "referent,lavt", "--out", out
    )
    assert (ended.code, ended.err) == (0, "")
    assert "on refcoco/refs(unc).p (testB): 2 phrases (0 true of nothing), 1 pictures" in ended.out
    result = json.loads(out.read_text())
    assert (result["phrases"], result["split"], result["missing"]) == (2, "testB", {"pictures": 0, "phrases": 0})


@pytest.mark.usefixtures("colour_zoo")
def test_missing_pictures_end_an_evaluation_or_are_counted_in_it(run, root, pictures, tmp_path, tiny_weights):
    refs = [*REFS, {**REFS[2], "ref_id": 9, "image_id": 14, "ann_id": 105}]
    write_refer(root / "refcoco", refs)
    (pictures / coco_name(12)).unlink()
    call = ("evaluate", tiny_weights, root / "refcoco", "--split", "val", "--out", tmp_path / "result.json")
    ended = run(*call)
    assert ended.code == 2
    assert "1 of 2 pictures are missing, with 3 of 6 phrases: " in ended.err
    ended = run(*call, "--allow-missing")
    assert (ended.code, ended.err) == (0, "")
    assert "left out: 3 phrases, whose 1 pictures are missing" in ended.out
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["phrases"], result["missing"]) == (3, {"pictures": 1, "phrases": 3})


@pytest.mark.usefixtures("colour_zoo")
def test_sentences_may_be_asked_as_they_were_typed_and_pictures_lie_elsewhere(
    run, root, pictures, tmp_path, tiny_weights
):
    pictures.rename(tmp_path / "elsewhere")
    save_to = tmp_path / "predictions.jsonl"
    ended = run(
        "evaluate", tiny_weights, root / "refcoco", "--split", "train", "--raw", "--pictures", tmp_path / "elsewhere",
        "--save", save_to,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    phrases = [json.loads(line)["phrase"] for line in save_to.read_text().splitlines()[1:]]
    assert phrases == ["The left cat.", "cat at left", "right cat!"]


@pytest.mark.parametrize("name", ["cris-r50-refcoco", "cris-r101-refcoco"])
def test_the_published_recipes_train_on_the_data_as_published(run, root, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text = resources.files("referent.recipes").joinpath(f"{name}.yaml").read_text()
    recipe = yaml.safe_load(text)
    assert [source["path"] for source in recipe["data"]["train"] + recipe["data"]["val"]] == ["data/refcoco"] * 2
    tiny = {
        "image": {"kind": "clip-resnet", "blocks": [1, 1, 1, 1], "width": 4, "embed": 16, "grid": 2},
        "text": {"width": 16, "layers": 1, "heads": 2, "context": 17, "embed": 16},
        "neck": {"channels": [8, 16, 16]},
        "decoder": {"layers": 1, "heads": 2, "feedforward": 16},
        "projector": {"hidden": 8, "width": 8},
    }
    small = {**recipe, "model": {"family": "cris", "config": tiny}, "start": {}, "batch": 2}
    Path("small.yaml").write_text(yaml.safe_dump(small))
    ended = run("train", "small.yaml", "--dry-run")
    assert ended.code == 0, ended.err
    # One item a ref, as the official training counts its epochs.
    assert "train      data/refcoco [train]: 3 phrases, 2 targets" in ended.out
    assert "val        data/refcoco:val: 3 phrases" in ended.out


def test_a_recipe_may_say_where_pictures_lie_and_which_wording(run, root, pictures, tmp_path, monkeypatch):
    from referent.training.data_part import Source
    from referent.training.sources import phrases_of

    pictures.rename(tmp_path / "elsewhere")
    source = Source(path=root / "refcoco", split="val", pictures=tmp_path / "elsewhere", wording="raw")
    assert [str(sample.reference) for sample in phrases_of(source).samples] == ["A cat", "the only cat", "cat"]


# From the folders of CRIS's data preparation


@pytest.fixture
def prepared(root: Path, tmp_path: Path) -> Path:
    """`anns/refcoco/*.json` and `masks/refcoco/*.png` as CRIS's scripts write them from `root`'s RefCOCO."""
    from referent.data.loading import open_dataset

    folder = tmp_path / "datasets"
    (folder / "masks" / "refcoco").mkdir(parents=True)
    (folder / "anns" / "refcoco").mkdir(parents=True)
    by_split: dict[str, list[object]] = {"val": [], "testB": []}
    masks = {sample.tags["ref"]: sample.mask() for sample in open_dataset(root / "refcoco").samples}
    for one in REFS:
        if one["split"] in by_split:
            grey = np.where(masks[str(one["ref_id"])], 255, 0).astype(np.uint8)
            grey[6] -= grey[6] // 255  # two polygons overlap in this row: 255 + 255 wraps to 254
            Image.fromarray(grey).save(folder / "masks" / "refcoco" / f"{one['ref_id']}.png")
            sentences = [
                {"idx": place, "sent_id": sentence["sent_id"], "sent": sentence["sent"].strip()}
                for place, sentence in enumerate(one["sentences"])
            ]
            by_split[one["split"]].append(
                {
                    "bbox": [0, 4, 8, 12],
                    "cat": 15,
                    "segment_id": one["ref_id"],
                    "img_name": coco_name(one["image_id"]),
                    "sentences": sentences,
                    "sentences_num": len(sentences),
                }
            )
    for split, refs in by_split.items():
        (folder / "anns" / "refcoco" / f"{split}.json").write_text(json.dumps(refs))
    return folder


def convert(run, prepared: Path, pictures: Path, out: Path):
    files = [prepared / "anns" / "refcoco" / f"{split}.json" for split in ("val", "testB")]
    return run("data", "from-cris", *files, "--masks", prepared / "masks/refcoco", "--pictures", pictures, "--out", out)


def test_what_cris_prepared_reads_as_the_published_files_do(run, root, pictures, prepared, tmp_path):
    from referent.data.loading import open_dataset

    out = tmp_path / "refcoco.jsonl"
    ended = convert(run, prepared, pictures, out)
    assert (ended.code, ended.out) == (0, f"{out}: 5 phrases\n")
    for split in ("val", "testB"):
        ours = {sample.id: sample for sample in open_dataset(root / "refcoco", split).samples}
        theirs = {sample.id: sample for sample in open_dataset(out, split).samples}
        assert ours.keys() == theirs.keys()
        for name, sample in theirs.items():
            assert (str(sample.reference), sample.split) == (str(ours[name].reference), split)
            assert sample.picture.samefile(ours[name].picture)
            assert (sample.mask() == ours[name].mask()).all()


def test_masks_that_do_not_fit_and_missing_pictures_are_all_named(run, pictures, prepared, tmp_path):
    (pictures / coco_name(12)).unlink()
    ended = convert(run, prepared, pictures, tmp_path / "out.jsonl")
    assert (ended.code, "ref 3: no such file: " in ended.err) == (2, True)
    save(pictures / coco_name(12), (20, 30))
    ended = convert(run, prepared, pictures, tmp_path / "out.jsonl")
    assert "ref 3: " in ended.err
    assert "3.png: 40 x 30, its picture 20 x 30" in ended.err
    (prepared / "anns" / "refcoco" / "val.json").write_text('{"images": []}')
    assert (
        "val.json: expected a list of refs as CRIS's preparation writes it"
        in convert(run, prepared, pictures, tmp_path / "out.jsonl").err
    )
    assert not (tmp_path / "out.jsonl").exists()
