from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from training_tiny import evaluate, recipe
from typer.testing import CliRunner

from referent.cli.main import app
from referent.errors import RecipeError, TrainingError
from referent.training import ablation
from referent.training.ablation import Line, Row, Table, load_table, markdown, recipes, run_row, summary
from referent.training.recipe import load_recipe

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def file(family: None, data: Path, tmp_path: Path) -> Path:
    """A recipe of the tiny family."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe(data, tmp_path / "unused", steps=2, validate_every=2)))
    return path


def table(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({"rows": list(rows)}))
    return path


def test_every_row_is_trained_with_its_settings_and_scored(file: Path, tmp_path: Path, console: Console) -> None:
    rows = [Row(name="plain"), Row(name="head alone", set={"optimiser.frozen": ["backbone", "words", "unused"]})]
    made = recipes(str(file), Table(rows=rows), ["steps=1", "validate_every=1"], tmp_path / "table")
    assert [item.output for item in made] == [tmp_path / "table" / "plain", tmp_path / "table" / "head-alone"]
    lines = [run_row(row, settings, evaluate, console) for row, settings in zip(rows, made, strict=True)]
    plain, head = lines
    assert plain is not None
    assert head is not None
    assert plain.parameters == head.parameters == plain.trained > head.trained
    assert all(0 <= scores["mIoU"] <= 1 for scores in plain.scores.values())
    assert (made[0].output / "final.safetensors").is_file()
    shown = markdown([plain, head], ["mIoU", "oIoU"]).splitlines()
    assert shown[0] == "|  | trained parameters | all parameters | mIoU | oIoU |"
    assert shown[3].startswith(f"| head alone | {head.trained:,} | {head.parameters:,} | ")
    assert shown[3].endswith("| - |")


def test_a_row_that_is_done_is_not_trained_again(
    file: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row(name="plain")
    (settings,) = recipes(str(file), Table(rows=[row]), [], tmp_path / "table")
    first = run_row(row, settings, evaluate, console)
    monkeypatch.setattr(ablation, "train", lambda *_, **__: pytest.fail("trained again"))
    assert run_row(row, settings, evaluate, console) == first
    (other,) = recipes(str(file), Table(rows=[row]), ["optimiser.lr=0.5"], tmp_path / "table")
    with pytest.raises(TrainingError, match=r"made with another recipe: optimiser\.lr was 0\.01, is 0\.5"):
        run_row(row, other, evaluate, console)


def test_a_row_that_was_cut_short_goes_on(
    file: Path, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, train, asked = Row(name="plain"), ablation.train, []

    def interrupted(recipe: Any, **options: Any) -> Any:
        asked.append(options["resume"])
        outcome = train(recipe, **options)
        return type(outcome)(**{**vars(outcome), "interrupted": len(asked) == 1})

    monkeypatch.setattr(ablation, "train", interrupted)
    (settings,) = recipes(str(file), Table(rows=[row]), [], tmp_path / "table")
    assert run_row(row, settings, evaluate, console) is None
    assert run_row(row, settings, evaluate, console) is not None
    assert asked == [False, True]


def test_all_rows_are_checked_before_the_first_is_trained(file: Path, tmp_path: Path) -> None:
    rows = Table(rows=[Row(name="good"), Row(name="bad", set={"model.config.widht": 3})])
    with pytest.raises(RecipeError, match=r"row 'bad': model\.config\.widht: unknown key"):
        recipes(str(file), rows, [], tmp_path / "table")
    with pytest.raises(RecipeError, match=r"row .good.: data\.val: a table needs validation data"):
        recipes(str(file), Table(rows=[Row(name="good")]), ["data.val=[]"], tmp_path / "table")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("rows: []", "rows: List should have at least 1 item"),
        ("rows: [{nome: x}]", "rows.0.name: Field required"),
        ("rows: [{name: A b}, {name: a-b}]", "found twice: a-b"),
        ("rows: [", "cannot be read"),
        ("3", "the file: Input should be"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "table.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=rf"table\.yaml: .*{message}|table\.yaml: {message}"):
        load_table(path)
    with pytest.raises(RecipeError, match=r"gone\.yaml: cannot be read"):
        load_table(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("example", "name"),
    [
        ("etris-ablation.yaml", "etris-r50-refcoco"),
        ("magnet-ablation.yaml", "magnet-ablation"),
        ("unirefpp-fusions.yaml", "unirefpp-ablation"),
        ("unirefpp-queries.yaml", "unirefpp-ablation"),
        ("unirefpp-tasks.yaml", "unirefpp-ablation"),
        ("etris-tuning.yaml", "etris-pocket"),
    ],
)
def test_an_example_fits_its_shipped_recipe(example: str, name: str, tmp_path: Path) -> None:
    rows = load_table(EXAMPLES / example)
    made = recipes(name, rows, [], tmp_path)
    assert len(made) == len(rows.rows) * max(1, len(rows.seeds)) >= 6
    assert load_recipe(name).model in [recipe.model for recipe in made]


def test_a_second_data_set_has_columns_of_its_own() -> None:
    lines = [Line("a", {}, 2, 1, {"one": {"mIoU": 0.5}, "two": {"mIoU": 0.25}})]
    assert markdown(lines, ["mIoU"]).splitlines()[0].endswith("| mIoU one | mIoU two |")
    assert markdown(lines, ["mIoU"]).splitlines()[2] == "| a | 1 | 2 | 50.0 | 25.0 |"


def test_the_verb_writes_and_prints_the_table(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("referent.cli.ablate.scores", evaluate)
    rows = table(tmp_path / "rows.yaml", {"name": "plain"}, {"name": "slow", "set": {"optimiser.lr": 1e-5}})
    out = tmp_path / "table"
    result = CliRunner().invoke(app, ["ablate", str(file), str(rows), "--out", str(out), "--numbers", "mIoU"])
    assert result.exit_code == 0, result.output
    assert (out / "table.md").read_text() in result.output
    assert [line.split(" | ")[0] for line in (out / "table.md").read_text().splitlines()[2:]] == ["| plain", "| slow"]
    written = json.loads((out / "table.json").read_text())
    assert [row["name"] for row in written["rows"]] == ["plain", "slow"]
    assert written["rows"][1]["set"] == {"optimiser.lr": 1e-5}


def test_with_seeds_every_row_is_trained_with_each_and_shown_with_an_interval(file: Path, tmp_path: Path) -> None:
    rows = Table(rows=[Row(name="plain"), Row(name="slow", set={"optimiser.lr": 0.001})], seeds=[3, 5, 7])
    made = recipes(str(file), rows, [], tmp_path / "table")
    assert [item.seed for item in made] == [3, 3, 5, 5, 7, 7]
    assert made[2].output == tmp_path / "table" / "plain-seed-5"
    assert [item.optimiser.lr for item in made[:2]] == [0.01, 0.001]
    lines = [Line("plain", {}, 9, 9, {"set": {"mIoU": value}}, seed) for seed, value in ((3, 0.4), (5, 0.5), (7, 0.6))]
    # 4.303 * 10 / sqrt(3)
    assert markdown(lines, ["mIoU"]).splitlines()[-1] == "| plain | 9 | 9 | 50.0 ± 24.8 |"
    assert markdown(lines[:1], ["mIoU"]).splitlines()[-1] == "| plain | 9 | 9 | 40.0 |"
    shown = summary(lines, ["mIoU"])[0]["numbers"]["set"]["mIoU"]
    assert [round(shown[key], 3) for key in ("value", "low", "high")] == [0.5, 0.252, 0.748]
    assert summary(lines[:1], ["mIoU"])[0]["numbers"]["set"]["mIoU"] == {"value": 0.4, "low": None, "high": None}
