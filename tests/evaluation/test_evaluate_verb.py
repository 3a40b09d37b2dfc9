from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from referent.evaluation.protocols import PROTOCOLS
from referent.rle import encode

ABSENT = "green square"


def mask(box: tuple[int, int, int, int]) -> np.ndarray:
    found = np.zeros((96, 128), dtype=bool)
    found[box[1] : box[3], box[0] : box[2]] = True
    return found


@pytest.fixture
def data(tmp_path: Path, paint, red_box) -> Path:
    """Two painted pictures with phrases of several kinds, one of them true of nothing."""
    lines = []
    for name, shift in (("a", 0), ("b", 8)):
        box = (red_box[0] + shift, red_box[1], red_box[2] + shift, red_box[3])
        paint(box).save(tmp_path / f"{name}.png")
        for phrase, truth, kind in (
            ("red square", mask(box), "name"),
            ("blue square", mask((80, 30, 116, 70)), "colour"),  # a little more than is blue
            (ABSENT, None, "none"),
        ):
            lines.append(
                {
                    "id": f"{name} {phrase}",
                    "image": f"{name}.png",
                    "phrase": phrase,
                    "rle": [] if truth is None else encode(truth),
                    "split": "val",
                    "tags": {"kind": kind, "name": phrase.split()[0]},
                }
            )
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.usefixtures("colour_zoo")
def test_a_table_of_numbers_stands_on_the_screen_and_the_result_in_a_file(run, data, tiny_weights, tmp_path):
    out = tmp_path / "result.json"
    ended = run("evaluate", tiny_weights, data, "--protocol", "referent,cris", "--out", out)
    assert (ended.code, ended.err) == (0, "")
    for shown in (
        "colours on",
        "6 phrases (2 true of nothing), 2 pictures",
        "oIoU",
        "mIoU",
        "Pr@0.9",
        "AUROC",
        "cris v1",
    ):
        assert shown in ended.out
    result = json.loads(out.read_text())
    assert result["command"].startswith("referent evaluate")
    assert len(result["weights_sha256"]) == 64
    assert list(result["scores"]) == ["referent", "cris"]
    numbers = result["scores"]["referent"]["overall"]["numbers"]
    assert numbers["mIoU-present"]["value"] > 0.8
    assert numbers["N-acc"]["value"] == 1
    assert result["auroc"]["value"] == 1


@pytest.mark.usefixtures("colour_zoo")
def test_json_on_standard_output_is_the_result(run, data, tiny_weights, tmp_path):
    out = tmp_path / "result.json"
    ended = run("evaluate", tiny_weights, data, "--json", "--out", out)
    written = json.loads(out.read_text())
    assert written["source"]["path"] == data.name
    assert json.loads(ended.out) == {**written, "source": {**written["source"], "path": str(data)}}


@pytest.mark.usefixtures("colour_zoo")
def test_kinds_and_tags_choose_phrases(run, data, tiny_weights):
    both = json.loads(run("evaluate", tiny_weights, data, "--json", "--kind", "name", "--kind", "colour").out)
    assert (both["phrases"], both["where"]) == (4, {"kind": ["name", "colour"]})
    red = json.loads(run("evaluate", tiny_weights, data, "--json", "--kind", "name", "--where", "name=red").out)
    assert red["phrases"] == 2
    assert json.loads(run("evaluate", tiny_weights, data, "--json", "--limit", "1").out)["phrases"] == 1


@pytest.mark.usefixtures("colour_zoo")
def test_a_picture_that_cannot_be_read_gives_exit_code_1_and_its_name(run, data, tiny_weights, monkeypatch):
    from referent.errors import PictureError
    from referent.segmenter import Segmenter

    look_at = Segmenter.look_at

    def refuse(self, picture):
        if Path(picture).name == "a.png":
            raise PictureError(f"{picture}: truncated")
        return look_at(self, picture)

    monkeypatch.setattr(Segmenter, "look_at", refuse)
    ended = run("evaluate", tiny_weights, data)
    assert ended.code == 1
    assert "a.png (3 phrases)" in ended.err
    assert "3 phrases (1 true of nothing), 1 pictures" in ended.out


@pytest.mark.usefixtures("colour_zoo")
def test_a_stopped_run_says_how_to_go_on_and_does(run, data, tiny_weights, tmp_path, monkeypatch):
    from referent.segmenter import Segmenter

    save = tmp_path / "predictions.jsonl"
    look_at = Segmenter.look_at

    def stop(self, picture):
        if Path(picture).name == "b.png":
            raise KeyboardInterrupt
        return look_at(self, picture)

    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "look_at", stop)
        ended = run("evaluate", tiny_weights, data, "--save", save)
    assert ended.code == 130
    assert "the same command again continues" in ended.err
    result = json.loads(run("evaluate", tiny_weights, data, "--save", save, "--json").out)
    assert (result["resumed"], result["phrases"]) == (3, 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--protocol", "lisa"], "protocol: expected one of"),
        (["--protocol", "cris-val"], "protocol cris-val: takes means over first sentences, but no sample has the tag"),
        (["--kind", "order"], "kind=order: no such sample; kind has: colour, name, none"),
        (["--where", "name"], "expected TAG=VALUE"),
        (["--split", "test"], "test"),
        (["--save", "nowhere/predictions.jsonl"], "there is no folder"),
        (["--out", "."], "it is a folder"),
    ],
)
@pytest.mark.usefixtures("colour_zoo")
def test_a_wrong_call_is_one_line_and_exit_code_2(run, data, tiny_weights, arguments, message):
    ended = run("evaluate", tiny_weights, data, *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.usefixtures("colour_zoo")
def test_the_worst_answers_are_drawn(run, data, tiny_weights, tmp_path):
    path = tmp_path / "worst.png"
    ended = run("evaluate", tiny_weights, data, "--draw", path)
    assert ended.code == 0, ended.err
    pixels = np.asarray(Image.open(path)).astype(int)
    assert pixels.shape[1] == 1200
    # Green where answer and truth agree, blue where the truth is larger.
    assert ((pixels[..., 1] > pixels[..., 0] + 30) & (pixels[..., 1] > pixels[..., 2] - 40)).sum() > 1000
    assert (pixels[..., 2] > pixels[..., 1] + 60).sum() > 300


@pytest.mark.usefixtures("colour_zoo")
def test_protocols_with_different_numbers_stand_in_one_table_with_what_makes_them_differ(run, data, tiny_weights):
    ended = run("evaluate", tiny_weights, data, "--protocol", "reclip,grefcoco,lavt")
    assert ended.code == 0, ended.err
    for shown in (
        "accuracy",
        "gIoU",
        "lavt v1",
        "kind (reclip)",
        "lavt: picture: letterbox",
        "lavt: truth: no polygons",
    ):
        assert shown in ended.out


@pytest.mark.usefixtures("colour_zoo")
def test_many_protocols_are_shown_in_several_tables_rather_than_cut(run, data, tiny_weights):
    names = "referent,referent-masks,cris,lavt,unirefpp,grefcoco,reclip,fss"
    shown = run("evaluate", tiny_weights, data, "--protocol", names).out
    assert all(f"{name} v{PROTOCOLS[name].version}" in shown for name in names.split(","))
    assert "…" not in shown


def test_a_real_model_runs_through(run, data, tiny_weights):
    ended = run("evaluate", tiny_weights, data, "--json", "--protocol", "referent,cris,lavt,unirefpp,grefcoco")
    result = json.loads(ended.out)
    assert result["model"] == "tiny-cris"
    assert all(0 <= scores["overall"]["numbers"]["mIoU"]["value"] <= 1 for scores in result["scores"].values())
