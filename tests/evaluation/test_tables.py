from __future__ import annotations

import json

import pytest
from evaluation_stub import Stub, columns, data_of, sample

from referent.errors import DataError
from referent.evaluation.protocols import PROTOCOLS
from referent.evaluation.run import evaluate
from referent.evaluation.tables import fill, main


@pytest.fixture
def root(tmp_path):
    """A repository with two results and one file of another kind."""
    (tmp_path / "results").mkdir()
    for name in ("cats", "dogs"):
        data = data_of(
            [
                sample("1", "a.png", "left", columns(0, 1), kind="position"),
                sample("2", "b.png", "cat", columns(0), kind="name"),
                sample("3", "b.png", "cow", None, kind="none"),
            ],
            name,
        )
        model = Stub(lambda picture, phrase: (columns(0) * 0.9, 0.9 if phrase != "cow" else 0.1, phrase != "cow"))
        result = evaluate(
            model, data, ("referent", "cris"), command=f"referent evaluate stub {name} | tee", replicates=5
        )
        result.save(tmp_path / "results" / f"{name}.json")
    (tmp_path / "speed.json").write_text(json.dumps({"what": "one phrase", "timing": {"median": 0.123456}, "n": 12000}))
    return tmp_path


def page(options: str, body: str = "old\n") -> str:
    return f"# Title\n\n<!-- table: {options} -->\n{body}<!-- end table -->\n\nthe end\n"


def test_a_table_has_one_row_a_file_with_numbers_and_intervals(root):
    text = fill(page('files=results/*.json columns="Data=dataset, mIoU:name, mIoU:position, n=phrases, AUROC"'), root)
    lines = text.splitlines()
    assert lines[3] == "| Data | mIoU (name) | mIoU (position) | n | AUROC |"
    assert lines[4] == "| --- | --: | --: | --: | --: |"
    assert lines[5] == "| cats | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] | 3 | 100.0 [100.0, 100.0] |"
    assert lines[6].startswith("| dogs |")
    assert text.startswith("# Title\n\n<!-- table: files")
    assert text.endswith("<!-- end table -->\n\nthe end\n")


def test_values_of_a_path_become_columns_and_what_has_no_file_a_dash(root):
    text = fill(page('files=results/*.json across=dataset columns="n=phrases, mIoU:name"'), root)
    assert text.splitlines()[3:6] == [
        "| n | cats | dogs |",
        "| --: | --: | --: |",
        "| 3 | 100.0 [100.0, 100.0] | 100.0 [100.0, 100.0] |",
    ]
    text = fill(page('files=results/*.json across=dataset columns="Data=dataset, mIoU:name"'), root)
    assert "| cats | 100.0 [100.0, 100.0] | - |\n| dogs | - | 100.0 [100.0, 100.0] |" in text
    with pytest.raises(DataError, match=r"two files for stub in the row 3"):
        fill(page('files=results/*.json across=model columns="n=phrases, mIoU:name"'), root)


def test_entries_of_a_list_in_a_file_are_rows(root):
    def entry(name, value):
        return {"name": name, "numbers": {"cats/val": {"mIoU": {"value": value, "low": 0.1, "high": 0.9}}}}

    (root / "ablation.json").write_text(json.dumps({"rows": [entry("b", 0.25), entry("a", 0.5)]}))
    marker = 'files=ablation.json rows=rows columns="Row=name, mIoU=numbers.cats/val.mIoU"'
    assert fill(page(marker), root).splitlines()[5:7] == ["| b | 25.0 [10.0, 90.0] |", "| a | 50.0 [10.0, 90.0] |"]
    with pytest.raises(DataError, match="no list of rows 'lines'"):
        fill(page(marker.replace("rows=rows", "rows=lines")), root)


def test_filling_twice_changes_nothing(root):
    once = fill(page('files=results/*.json columns="dataset, mIoU"'), root)
    assert fill(once, root) == once


def test_protocols_stand_in_rows_of_their_own_with_their_version(root):
    text = fill(
        page('files=results/cats.json protocol=referent,cris columns="Protocol=protocol, Pr@0.5:position"'), root
    )
    assert "| referent v1 | 100.0 [100.0, 100.0] |\n| cris v1 | 0.0 [0.0, 0.0] |" in text


def test_a_long_marker_may_go_over_several_lines(root):
    text = fill(page('files=results/cats.json\ncolumns="dataset, mIoU:name"'), root)
    assert "| cats | 100.0 [100.0, 100.0] |" in text
    assert fill(text, root) == text


def test_commands_are_code_and_bars_do_not_break_the_table(root):
    text = fill(page("files=results/cats.json columns=Command=command"), root)
    assert "| `referent evaluate stub cats \\| tee` |" in text


def test_any_json_file_can_fill_a_table_by_keys(root):
    text = fill(page('files=speed.json columns="what, Seconds=timing.median, n"'), root)
    assert "| what | Seconds | n |\n| --- | --: | --: |\n| one phrase | 0.1235 | 12000 |" in text


def test_keys_that_lead_to_a_number_and_its_interval_give_both_in_percent(root):
    number = {"value": 0.1234, "low": 0.1, "high": 0.15}
    without = {"value": 0.5, "low": None, "high": None}
    (root / "classes.json").write_text(json.dumps({"tasks": {"detection": {"mAP": number, "AP50": without}}}))
    text = fill(page('files=classes.json columns="mAP=tasks.detection.mAP, AP50=tasks.detection.AP50"'), root)
    assert "| 12.3 [10.0, 15.0] | 50.0 |" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("files=results/none.json columns=mIoU", "no file results/none.json"),
        ("files=results/*.json columns=mIou", "no column 'mIou'"),
        ("files=results/*.json columns=mIoU:colour", "no column 'mIoU:colour'"),
        ("files=results/*.json columns=mIoU protocol=lavt", "no protocol lavt; it has: referent, cris"),
        ("files=results/*.json column=mIoU", "expected files=, columns="),
        ("columns=mIoU", "expected files=, columns="),
    ],
)
def test_a_wrong_marker_is_an_error_that_says_what_is_wrong(root, options, message):
    with pytest.raises(DataError, match=message):
        fill(page(options), root)


def test_results_under_two_versions_of_a_protocol_do_not_stand_in_one_table(root):
    older = json.loads((root / "results" / "dogs.json").read_text())
    older["scores"]["cris"]["protocol"]["version"] = 0
    (root / "results" / "dogs.json").write_text(json.dumps(older))
    with pytest.raises(DataError, match=r"protocol cris: v1 in .*cats\.json, v0 in .*dogs\.json: .* do not compare"):
        fill(page("files=results/*.json protocol=referent,cris columns=mIoU"), root)
    assert "cats" in fill(page("files=results/*.json protocol=referent columns=dataset,mIoU"), root)


def test_the_rules_of_all_protocols_make_a_table(root):
    text = fill(page("protocols"), root)
    assert (
        "| `cris` v1 | letterbox 416 | cleaned | original size | 0.35 | any polygon | counts all the same | 0 |" in text
    )
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(PROTOCOLS)
    assert fill(text, root) == text


def test_notes_of_a_protocol_can_stand_in_a_column(root):
    text = fill(page('files=results/cats.json protocol=cris columns="dataset, notes"'), root)
    assert "| cats | - |" in text


def test_a_marker_without_an_end_is_an_error(root):
    with pytest.raises(DataError, match="without its <!-- end table -->"):
        fill("<!-- table: files=results/*.json columns=mIoU -->\n", root)


def test_check_fails_and_shows_the_difference_until_the_page_is_filled(root, capsys):
    readme = root / "README.md"
    readme.write_text(page("files=results/cats.json columns=mIoU-present"))
    arguments = [str(readme), "--root", str(root)]
    assert main([*arguments, "--check"]) == 1
    assert "+| 75.0 [" in capsys.readouterr().out
    assert "old" in readme.read_text()
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    assert "| 75.0 [" in readme.read_text()


def test_a_wrong_page_is_named(root, capsys):
    readme = root / "README.md"
    readme.write_text(page("files=none.json columns=mIoU"))
    assert main([str(readme), "--root", str(root)]) == 2
    assert "README.md: table marker: no file none.json" in capsys.readouterr().err
