"""The command line with grounding systems."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from referent.cli import main as command_line
from referent.cli.main import app
from referent.grounding.explanation import SHOWN, explain
from referent.grounding.explanation_picture import draw_explanation
from referent.grounding.load import load
from referent.rle import encode

from .tiny import BOXES


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_segment_takes_a_grounding_system(folder: Path) -> None:
    out = folder / "out"
    printed = run(
        "segment", folder / "picture.png", "-p", "guy on the left", "-p", "the cat inside the box", "-m",
        folder / "mine.yaml", "-o", out, "--json", "--device", "cpu",
    )  # fmt: skip
    document = json.loads(printed)
    assert document["info"]["model"] == "mine (compat; parses of parses.jsonl; boxes.json)"
    assert [phrase["found"] for phrase in document["phrases"]] == [True, True]
    x0, y0, x1, y1 = document["phrases"][0]["box"]
    mask = np.asarray(Image.open(document["phrases"][0]["mask"])) > 0
    assert mask[y0:y1, x0:x1].all()
    assert mask.sum() == (x1 - x0) * (y1 - y0)


def test_evaluate_takes_a_grounding_system(folder: Path) -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[0:48, 0:64] = True
    lines = [
        {"image": "picture.png", "phrase": text, "rle": encode(mask), "split": "val"}
        for text in ("guy on the left", "bus behind bus")
    ]
    (folder / "data.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    printed = run("evaluate", folder / "mine.yaml", folder / "data.jsonl", "--json", "--device", "cpu")
    result = json.loads(printed)
    assert result["model"] == "mine (compat; parses of parses.jsonl; boxes.json)"
    assert result["phrases"] == 2
    assert result["counters"]["n_total"] == 2
    assert result["counters"]["n_rel_above"] == 1


def test_an_interrupted_evaluation_keeps_its_counters_and_boxes_are_compared_unrounded(folder: Path) -> None:
    mask = np.zeros((48, 64), dtype=bool)
    mask[2:40, 2:60] = True
    lines = [
        {"image": "picture.png", "phrase": text, "rle": encode(mask), "split": "val"}
        for text in ("guy on the left", "bus behind bus")
    ]
    saved, arguments = folder / "saved.jsonl", ("--json", "--device", "cpu", "--protocol", "reclip")
    (folder / "data.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    command = ("evaluate", folder / "mine.yaml", folder / "data.jsonl", *arguments, "--save", saved)
    whole = json.loads(run(*command))
    header, *answers = saved.read_text().splitlines(keepends=True)
    saved.write_text(header + answers[0])
    again = json.loads(run(*command))
    assert (again["resumed"], again["counters"]) == (1, whole["counters"])
    assert again["scores"] == whole["scores"]
    _, _, predicted = json.loads(answers[0])["counts"]["reclip/2"]
    assert predicted in [pytest.approx(width * height) for _, _, width, height in BOXES.tolist()]


def test_explain_prints_the_tree_and_the_probabilities_and_draws_them(folder: Path) -> None:
    out = folder / "why.png"
    printed = run(
        "explain", folder / "picture.png", "The cat inside the box", "-m", folder / "mine.yaml", "-o", out,
        "--device", "cpu",
    )  # fmt: skip
    assert "mine (compat; parses of parses.jsonl; boxes.json)" in printed
    assert "  the cat\n    relation inside (inside) to\n      the box\n" in printed
    for step in ("expression (the cat inside the box)", "entity (the box)", "entity (the cat)", "relation inside"):
        assert step in printed
    assert "answer: box" in printed
    drawn = Image.open(out)
    assert drawn.width == 1000
    assert drawn.height > 750


def test_explain_gives_the_same_as_json(folder: Path) -> None:
    printed = run(
        "explain", folder / "picture.png", "middle person", "-m", folder / "mine.yaml", "-o", folder / "why.png",
        "--json", "--device", "cpu",
    )  # fmt: skip
    document = json.loads(printed)
    assert document["tree"] == ["middle person"]
    assert document["tree_used"] is False
    assert document["queries"] == ["middle person"]
    assert document["boxes"] == BOXES.tolist()
    answer = document["steps"][-1]
    assert answer["step"] == "answer"
    assert document["best"] == int(np.argmax(answer["probabilities"]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("cris-pocket", "cris-pocket: expected a grounding system \\(reclip, "),
        ("none.yaml", "none.yaml: expected a model name"),
    ],
)
def test_explain_needs_a_grounding_system(
    folder: Path, model: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.argv",
        ["referent", "explain", str(folder / "picture.png"), "a", "-m", model, "-o", str(folder / "x.png")],
    )
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_of_many_proposals_the_likeliest_and_the_answer_are_shown(folder: Path) -> None:
    rng = np.random.default_rng(0)
    boxes = np.concatenate([rng.uniform(0, 30, (30, 2)), rng.uniform(5, 15, (30, 2))], axis=1)
    (folder / "boxes.json").write_text(json.dumps({"picture": boxes.tolist()}))
    system = load(folder / "mine.yaml", "cpu")
    look = system.look_closely(folder / "picture.png")
    (parse,) = system.parses(["bus behind bus"]) or ()
    explanation = explain(look, "bus behind bus", parse, system.name)
    assert len(explanation.shown) == SHOWN
    assert explanation.resolution.best in explanation.shown
    assert int(np.argmax(explanation.resolution.expression)) in explanation.shown
    picture = draw_explanation(look.pictures[0], explanation)
    plain = look.pictures[0].resize((1000, 750))
    assert not np.array_equal(np.asarray(picture.crop((0, 0, 1000, 750))), np.asarray(plain))


def test_an_explanation_of_a_contradiction_can_be_drawn(folder: Path) -> None:
    (folder / "boxes.json").write_text(json.dumps({"picture": [[0, 20, 10, 10], [30, 0, 10, 10]]}))
    printed = run(
        "explain", folder / "picture.png", "top left pizza slice", "-m", folder / "mine.yaml", "-o",
        folder / "why.png", "--json", "--device", "cpu",
    )  # fmt: skip
    document = json.loads(printed)
    assert document["steps"][-1]["probabilities"] == [None, None]
    assert (document["best"], document["score"]) == (0, 0)
