from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation_stub import columns, sample
from saved_results import save

from referent.errors import DataError
from referent.evaluation import metrics
from referent.evaluation.differences import differences
from referent.evaluation.pairing import open_saved, pair
from referent.evaluation.reading import read_result


def questions(pictures: int = 8, split: str = "val"):
    """Of every picture a phrase of each kind: about columns 0-2, about column 0 alone, and true of nothing."""
    return [
        replace(one, split=split)
        for number in range(pictures)
        for one in (
            sample(f"{number}a", f"{number}.png", f"left cat {number}", columns(0, 1, 2), kind="position"),
            sample(f"{number}b", f"{number}.png", f"cat {number}", columns(0), kind="name"),
            sample(f"{number}c", f"{number}.png", f"cow {number}", None, kind="none"),
        )
    ]


def hasty(phrase: str) -> int:
    """Good at cats in places, and sees cows."""
    return {"left": 3, "cat": 2, "cow": 1}[phrase.split()[0]]


def careful(phrase: str) -> int:
    return {"left": int(phrase[-1]) % 3, "cat": 1, "cow": 0}[phrase.split()[0]]


@pytest.fixture
def both(tmp_path):
    samples = questions()
    return [save(tmp_path, "hasty", samples, hasty), save(tmp_path, "careful", samples, careful)]


def test_a_result_reads_back_as_it_was(tmp_path, both):
    read = read_result(both[0])
    assert read.model == "hasty"
    assert read.scores["referent"].overall.phrases == 24
    assert read.predictions == str(tmp_path / "hasty.jsonl")
    assert read.to_json()["scores"] == json.loads(both[0].read_text())["scores"]


def test_values_are_the_results_own_and_differences_those_counted_by_hand(both):
    part = differences(open_saved(both), replicates=0).parts[0]
    assert (part.names, part.phrases, part.notes) == (("hasty", "careful"), 24, ())
    assert list(part.protocols) == ["referent", "cris"]
    for name, protocol in part.protocols.items():
        everything = protocol.groups[0]
        for number, paired in everything.numbers.items():
            own = [read_result(path).number(number, name).value for path in both]
            assert [one.value for one in paired.values] == pytest.approx(own), number
    referent = {(group.by, group.name): group.numbers["mIoU"] for group in part.protocols["referent"].groups}
    assert referent["kind", "name"].differences[0].value == pytest.approx(1 - 0.5)
    assert referent["kind", "none"].differences[0].value == pytest.approx(1)
    # Columns 0, 1, 2, 0, 1, 2, 0, 1 of three: a third of 7/8 on average, where the other has all three.
    assert referent["kind", "position"].differences[0].value == pytest.approx(7 / 24 - 1)
    assert referent["position words", "with"] == referent["kind", "position"]
    cris = {group.name: group for group in part.protocols["cris"].groups if group.by == "kind"}
    assert cris["none"].numbers["mIoU"].differences[0].value == pytest.approx(0)


def test_intervals_are_of_differences_on_the_same_resampled_pictures(both):
    pairing = pair(open_saved(both))[0]
    found = differences(open_saved(both), ["referent"], replicates=40, seed=5).parts[0].protocols["referent"].groups[0]
    random = np.random.default_rng(5)
    counts = [one.predictions.counts["referent/1"].reshape(8, 3, 3) for one in pairing.saved]
    drawn = []
    for rows in random.integers(0, 8, (40, 8)):
        first, second = (pairing.protocols[0].iou(*chosen[rows].reshape(-1, 3).T[:2]).mean() for chosen in counts)
        drawn.append(second - first)
    interval = found.numbers["mIoU"].differences[0]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    alone = [one.high - one.low for one in found.numbers["Pr@0.9"].values if one.high is not None]
    assert alone


def test_pairing_makes_intervals_shorter_than_those_of_the_numbers(tmp_path):
    """Both are as good as the picture is easy, and one is a little better everywhere."""
    samples = [
        sample(f"{number}", f"{number}.png", f"cat {number}", columns(*range(6), size=(4, 60)), size=(4, 60))
        for number in range(40)
    ]
    easy = save(tmp_path, "a", samples, lambda phrase: 6 + int(phrase.split()[1]), size=(4, 60))
    better = save(tmp_path, "b", samples, lambda phrase: 7 + int(phrase.split()[1]), size=(4, 60))
    paired = differences(open_saved([easy, better])).parts[0].protocols["referent"].groups[0].numbers["mIoU"]
    change, value = paired.differences[0], paired.values[0]
    assert change.high < 0, "surely worse, though the intervals of the two overlap"
    assert paired.values[1].high > value.low
    assert change.high - change.low < (value.high - value.low) / 3


def test_a_result_does_not_differ_from_itself(both):
    for group in differences(open_saved([both[0], both[0]])).parts[0].protocols["referent"].groups:
        for paired in group.numbers.values():
            for one in paired.differences:
                assert (one.value, one.low, one.high) in ((0, 0, 0), (None, None, None))


def test_two_comparisons_are_equal(both):
    first, second = (differences(open_saved(both)).to_json() for _ in range(2))
    assert first == second
    assert "NaN" not in json.dumps(first)


def test_several_results_are_all_compared_with_the_first(tmp_path, both):
    third = save(tmp_path, "blind", questions(), lambda phrase: 0)
    part = differences(open_saved([*both, third]), replicates=0).parts[0]
    numbers = part.protocols["referent"].groups[0].numbers["T-acc"]
    assert [one.value for one in numbers.values] == pytest.approx([1, 13 / 16, 0])
    assert [one.value for one in numbers.differences] == pytest.approx([-3 / 16, -1])


def test_splits_are_compared_each_for_itself(tmp_path, both):
    test = [
        save(tmp_path, f"{name}-test", questions(4, "test"), drawn)
        for name, drawn in (("hasty", hasty), ("careful", careful))
    ]
    parts = differences(open_saved([both[0], test[0], both[1], test[1]]), replicates=0).parts
    assert [(part.split, part.names, part.phrases) for part in parts] == [
        ("val", ("hasty", "careful"), 24),
        ("test", ("hasty-test", "careful-test"), 12),
    ]
    with pytest.raises(
        DataError, match=r"careful-test: no other result of the same data set and split.*toy, split test"
    ):
        differences(open_saved([*both, test[1]]))


def test_another_data_set_is_refused(tmp_path, both):
    other = save(tmp_path, "other", questions(), careful, dataset="dogs")
    with pytest.raises(DataError, match=r"other: no other result.*hasty: toy, split val.*other: dogs, split val"):
        differences(open_saved([*both, other]))


def test_only_common_phrases_are_compared_and_the_counts_said(tmp_path, both):
    part = save(tmp_path, "part", questions(), careful, limit=10)
    found = differences(open_saved([both[0], part]), replicates=0).parts[0]
    assert found.phrases == 10
    assert found.notes == ("hasty: 10 of its 24 phrases compared; the others are not in every result",)
    assert found.settings["limit"] == ("none", "10")
    assert found.protocols["referent"].groups[0].phrases == 10
    nothing = save(tmp_path, "nothing", [replace(one, id=f"x{one.id}") for one in questions()], careful)
    with pytest.raises(DataError, match=r"hasty and nothing: no phrase \(sample id\) in common"):
        differences(open_saved([both[0], nothing]))


def test_pictures_that_one_could_not_answer_are_left_out_of_both(tmp_path, both):
    failed = save(tmp_path, "failed", questions(), careful, unreadable=frozenset({"3.png"}))
    found = differences(open_saved([both[0], failed]), replicates=0).parts[0]
    assert found.phrases == 21
    assert found.settings["pictures left out"] == ("0", "1")


def test_protocols_that_are_not_the_same_are_left_out_and_named(tmp_path, both):
    one = save(tmp_path, "one", questions(), careful, protocols=("referent",))
    found = differences(open_saved([both[0], one]), replicates=0).parts[0]
    assert list(found.protocols) == ["referent"]
    assert found.notes == ("protocol cris: not compared, as it is not in one",)
    with pytest.raises(DataError, match="no protocol to compare under: protocol cris"):
        differences(open_saved([both[0], one]), ["cris"])


def test_versions_of_a_protocol_do_not_mix(both):
    content = json.loads(both[1].read_text())
    content["scores"]["referent"]["protocol"]["version"] = 2
    both[1].write_text(json.dumps(content))
    found = differences(open_saved(both), replicates=0).parts[0]
    assert list(found.protocols) == ["cris"]
    assert found.notes == ("protocol referent: not compared, as its rules differ: v1 in hasty, v2 in careful",)


def test_a_prediction_file_that_was_continued_since_is_said(both):
    content = json.loads(both[0].read_text())
    both[0].write_text(json.dumps({**content, "phrases": 10}))
    found = differences(open_saved(both), replicates=0).parts[0]
    assert found.phrases == 24
    assert found.notes == ("hasty: its numbers were of 10 phrases, its predictions hold 24 by now",)


def test_differing_settings_are_visible(tmp_path, both):
    other = save(tmp_path, "other", questions(), careful, threshold=0.3, weights_sha256="f" * 64)
    settings = differences(open_saved([both[1], other]), replicates=0).parts[0].settings
    assert settings["threshold"] == ("0.5", "0.3")
    assert settings["weights"][1] == "f" * 12
    assert "pictures missing" not in settings
    assert "torch" not in settings


def test_what_makes_a_protocols_numbers_differ_from_the_published_is_said(tmp_path):
    paths = [save(tmp_path, name, questions(), careful, protocols=("lavt",)) for name in ("a", "b")]
    notes = differences(open_saved(paths), replicates=0).parts[0].notes
    assert len([note for note in notes if note.startswith("protocol lavt, b: ")]) > 0


def test_changed_data_is_refused(tmp_path, both):
    words = [replace(one, reference=type(one.reference).of(f"{one.reference}!")) for one in questions()]
    with pytest.raises(DataError, match=r"sample 0a asks 'left cat 0' in hasty and 'left cat 0!' in words"):
        differences(open_saved([both[0], save(tmp_path, "words", words, lambda phrase: 1)]))
    truths = [replace(one, targets=sample("", "", "x", columns(5)).targets) for one in questions()]
    with pytest.raises(DataError, match=r"sample 0a has 12 and 4 true pixels: the data set was changed"):
        differences(open_saved([both[0], save(tmp_path, "truths", truths, lambda phrase: 1)]))


def test_a_result_without_predictions_says_to_save_them(tmp_path, both):
    content = json.loads(both[0].read_text())
    both[0].write_text(json.dumps({**content, "predictions": None}))
    with pytest.raises(DataError, match=r"hasty.json: has numbers only.*evaluate again with --save"):
        open_saved(both)
    both[0].write_text(json.dumps({**content, "predictions": "gone.jsonl"}))
    with pytest.raises(DataError, match=r"its predictions are not at .*gone.jsonl; move them back"):
        open_saved(both)
    both[0].write_text(json.dumps({**content, "predictions": "careful.jsonl"}))
    with pytest.raises(DataError, match=r"found another run's \(model 'careful', there 'hasty'\)"):
        open_saved(both)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "found no JSON"),
        ("[]", "expected a result written by `referent evaluate --out`"),
        ('{"scores": {}, "format": 99}', "expected a result of format 2, found 99; evaluate again"),
        ('{"scores": {}, "format": 2}', "model: Field required"),
    ],
)
def test_what_is_no_result_is_named(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_result(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_result(tmp_path / "none.json")


@pytest.mark.parametrize("change", ["tags", "rle", "counts", "picture"])
def test_broken_prediction_lines_are_named(tmp_path, both, change):
    path = tmp_path / "hasty.jsonl"
    lines = path.read_text().splitlines()
    broken = {**json.loads(lines[3]), change: 7}
    path.write_text("\n".join([*lines[:3], json.dumps(broken), *lines[4:]]) + "\n")
    if change == "picture":
        assert len(open_saved(both)) == 2, "a number is a name too"
    else:
        with pytest.raises(DataError, match=r"hasty.jsonl: .*expected"):
            open_saved(both)


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    paths = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        paths.append(save(tmp_path / folder, "result", questions(2), hasty))
    assert [one.name for one in open_saved(paths)] == ["first/result", "second/result"]


def test_draws_of_two_numbers_subtract_row_by_row():
    first, second = metrics.Draws(0.5, np.array([0.4, np.nan])), metrics.Draws(0.2, np.array([0.1, 0.3]))
    change = first - second
    assert change.value == pytest.approx(0.3)
    assert change.interval().low == pytest.approx(0.3)
