from __future__ import annotations

import json
import math

import numpy as np
import pytest
from evaluation_stub import Stub, columns, data_of, sample

from referent.errors import DataError
from referent.evaluation.run import evaluate
from referent.evaluation.source import Source
from referent.rle import decode


def drawn(*chosen: int, score: float = 0.9, found: bool = True):
    return np.where(columns(*chosen), 0.8, 0.1), score, found


ANSWERS = {
    "left": drawn(0, 1, score=0.9),  # truth 0 1: IoU 1
    "right": drawn(4, score=0.8),  # truth 4 5: IoU 0.5
    "middle": drawn(0, score=0.7),  # truth 2 3: IoU 0
    "no dog": drawn(score=0.1, found=False),  # true of nothing, empty: 1
    "no cat": drawn(3, score=0.2, found=False),  # true of nothing, drawn but not found
    "no cow": drawn(3, score=0.75, found=True),  # true of nothing, drawn: 0
}


def dataset() -> data_of:
    return data_of(
        [
            sample("1", "a.png", "left", columns(0, 1), kind="position"),
            sample("2", "b.png", "right", columns(4, 5), kind="position"),
            sample("3", "a.png", "middle", columns(2, 3), kind="order"),
            sample("4", "b.png", "no dog", None, kind="absent"),
            sample("5", "c.png", "no cat", None, kind="absent"),
            sample("6", "c.png", "no cow", None, kind="absent"),
        ]
    )


def stub(**changes) -> Stub:
    return Stub(lambda picture, phrase: ANSWERS[phrase], **changes)


def test_numbers_of_a_small_set_are_those_counted_by_hand():
    result = evaluate(stub(), dataset(), ("referent", "referent-masks", "cris"))
    one = {name: scores.overall.numbers for name, scores in result.scores.items()}
    # Answers under "referent": IoU 1, 1/2, 0, 1, 1, 0. Intersections 8 + 4; unions 8 + 8 + 12 + 0 + 0 + 4.
    assert one["referent"]["mIoU"].value == pytest.approx(3.5 / 6)
    assert one["referent"]["oIoU"].value == pytest.approx(12 / 32)
    assert one["referent"]["mIoU-present"].value == pytest.approx(0.5)
    assert one["referent"]["Pr@0.5"].value == pytest.approx(2 / 3)
    assert one["referent"]["Pr@0.6"].value == pytest.approx(1 / 3)
    assert one["referent"]["T-acc"].value == 1
    assert one["referent"]["N-acc"].value == pytest.approx(2 / 3)
    # The masks alone: what was drawn for "no cat" counts although the model calls it not found.
    assert one["referent-masks"]["mIoU"].value == pytest.approx(2.5 / 6)
    assert one["referent-masks"]["oIoU"].value == pytest.approx(12 / 36)
    assert one["referent-masks"]["N-acc"].value == pytest.approx(1 / 3)
    # CRIS: nothing against nothing is 0 / 1e-6; an IoU of one half does not reach Pr@0.5.
    assert one["cris"]["mIoU"].value == pytest.approx(1.5 / 6, abs=1e-6)
    assert one["cris"]["Pr@0.5"].value == pytest.approx(1 / 3)
    # Present scores 0.9 0.8 0.7, absent ones 0.1 0.2 0.75: one of nine pairs is the wrong way round.
    assert result.auroc.value == pytest.approx(8 / 9)
    assert (result.phrases, result.pictures, result.absent) == (6, 3, 3)


def test_the_cris_threshold_differs_from_the_models_own():
    model = Stub(lambda picture, phrase: (np.where(columns(0), 0.8, np.where(columns(1), 0.4, 0.0)), 0.9, True))
    result = evaluate(model, data_of([sample("1", "a.png", "x", columns(0, 1))]), ("referent", "cris"))
    assert result.number("mIoU", "referent").value == 0.5
    assert result.number("mIoU", "cris").value == pytest.approx(1, abs=1e-6)


def test_every_protocol_makes_its_own_number_of_one_set_of_predictions():
    """Two pictures of 4 x 6 pixels; per phrase the columns above 0.5, those above 0.35 only, and the truth."""
    shown = {
        "one": ((0, 1), (2,), True, columns(0, 1, 2)),  # 0.5: IoU 2/3; 0.35: 1
        "two": ((3, 4), (), False, columns(3, 4, 5)),  # 2/3, but the model does not believe it
        "none": ((5,), (), False, None),  # true of nothing, drawn, not believed
    }

    def reply(picture, phrase):
        high, low, found, _ = shown[phrase]
        return np.where(columns(*high), 0.8, np.where(columns(*low), 0.4, 0.1)), 0.9, found

    names = ("referent", "referent-masks", "cris", "cris-val", "lavt", "unirefpp", "grefcoco", "reclip", "fss")
    tags = {"one": ("r1", "cat"), "two": ("r2", "dog"), "none": ("r2", "dog")}
    samples = [
        sample(phrase, f"{place % 2}.png", phrase, truth, ref=tags[phrase][0], name=tags[phrase][1])
        for place, (phrase, (*_, truth)) in enumerate(shown.items())
    ]
    model = Stub(reply)
    result = evaluate(model, data_of(samples), names)
    assert len(model.asked) == 3
    expected = {
        "referent": {"mIoU": (2 / 3 + 0 + 1) / 3, "oIoU": 8 / 24, "N-acc": 1, "T-acc": 0.5},
        "referent-masks": {"mIoU": (2 / 3 + 2 / 3 + 0) / 3, "oIoU": 16 / 28, "Pr@0.6": 1, "N-acc": 0},
        "cris": {"mIoU": (1 + 2 / 3 + 0) / 3, "Pr@0.7": 0.5},
        "cris-val": {"mIoU": (1 + 2 / 3) / 2},
        "lavt": {"mIoU": (2 / 3 + 2 / 3 + 0) / 3, "oIoU": 16 / 28},
        "unirefpp": {"mIoU": (2 / 3 + 2 / 3 + 0) / 3, "oIoU": 16 / 28},
        # The refused mask of "two" stays in the union, that of "none" does not.
        "grefcoco": {"gIoU": (2 / 3 + 0 + 1) / 3, "cIoU": 8 / 24, "N-acc": 1, "T-acc": 0.5},
        "reclip": {"accuracy": 1},
        # Cat 8 / 12, dog 8 / (12 + 4); foreground 16 / 28, background 44 / 56 pixels.
        "fss": {"class-mIoU": (8 / 12 + 8 / 16) / 2, "FB-IoU": (16 / 28 + 44 / 56) / 2},
    }
    for protocol, numbers in expected.items():
        for name, value in numbers.items():
            assert result.number(name, protocol).value == pytest.approx(value, abs=1e-6), (protocol, name)
    assert result.scores["cris-val"].overall.phrases == 2


def test_the_result_says_where_its_numbers_are_not_made_as_the_published_ones():
    names = ("referent", "cris", "lavt")
    scores = evaluate(stub(), dataset(), names).scores
    assert (scores["referent"].notes, scores["cris"].notes) == ((), ())
    picture, truth = scores["lavt"].notes
    assert picture == "picture: letterbox 416, the model's own; the published numbers of lavt are of squash 480"
    squashing = evaluate(stub(geometry="squash 480"), dataset(), names).scores
    assert len(squashing["cris"].notes) == 1
    assert squashing["lavt"].notes == (truth,)
    assert truth.startswith("truth: no polygons are known")


@pytest.mark.parametrize(("raw", "differing"), [(False, "lavt"), (True, "cris")])
def test_the_result_says_where_other_sentences_were_asked_than_for_the_published_numbers(raw, differing):
    data = data_of([sample("1", "a.png", "left", columns(0, 1), ref="7")])
    scores = evaluate(stub(), data, ("cris", "lavt"), source=Source("refcoco", raw=raw)).scores
    asked = ("as typed (--raw)", "as cleaned") if raw else ("as cleaned", "as typed (--raw)")
    note = f"sentences: {asked[0]}; the published numbers of {differing} ask them {asked[1]}"
    assert [name for name, one in scores.items() if note in one.notes] == [differing]
    assert sum(note.startswith("sentences") for one in scores.values() for note in one.notes) == 1


def test_a_phrase_that_a_protocol_leaves_out_has_no_counts_under_it(tmp_path):
    save = tmp_path / "predictions.jsonl"
    data = data_of(
        [sample(str(n), "a.png", phrase, columns(0, 1), ref="7") for n, phrase in enumerate(("left", "right"))]
    )
    first = evaluate(stub(), data, ("cris", "cris-val"), save=save, weights_sha256="abc")
    counts = [json.loads(line)["counts"] for line in save.read_text().splitlines()[1:]]
    assert [list(one) for one in counts] == [["cris/1", "cris-val/1"], ["cris/1"]]
    resumed = evaluate(stub(), data, ("cris", "cris-val"), save=save, weights_sha256="abc")
    assert resumed.resumed == 2
    assert resumed.to_json()["scores"] == first.to_json()["scores"]


def test_a_phrase_that_was_left_out_among_others_is_asked_again_where_it_counts(tmp_path):
    save = tmp_path / "predictions.jsonl"
    tags = (("left", "order"), ("right", "position"))
    data = data_of([sample(text, "a.png", text, columns(0, 1), ref="7", kind=kind) for text, kind in tags])
    evaluate(stub(), data, ("cris-val",), save=save, weights_sha256="abc")
    model, where = stub(), {"kind": ["position"]}
    alone = evaluate(model, data, ("cris-val",), save=save, weights_sha256="abc", where=where)
    assert (model.asked, alone.resumed) == (["right"], 0)
    expected = evaluate(stub(), data, ("cris-val",), where=where)
    assert alone.to_json()["scores"] == expected.to_json()["scores"]


def test_each_picture_is_looked_at_once_wherever_its_phrases_stand():
    model = stub()
    evaluate(model, dataset())
    assert model.looked == {"a.png": 1, "b.png": 1, "c.png": 1}
    assert sorted(model.asked) == sorted(ANSWERS)


def test_results_are_grouped_by_kind_of_phrase():
    kinds = evaluate(stub(), dataset()).scores["referent"].kinds
    assert {kind: scores.phrases for kind, scores in kinds.items()} == {"absent": 3, "order": 1, "position": 2}
    assert kinds["position"].numbers["mIoU"].value == 0.75
    assert kinds["absent"].numbers["mIoU-present"].value is None


def test_one_bad_picture_is_counted_and_named_and_left_out():
    result = evaluate(stub(unreadable=frozenset({"b.png"})), dataset())
    assert [(failure.picture, failure.phrases) for failure in result.failed] == [("b.png", 2)]
    assert "cannot be read" in result.failed[0].error
    assert (result.phrases, result.pictures) == (4, 2)
    assert result.number("mIoU").value == pytest.approx((1 + 0 + 1 + 0) / 4)


def test_an_unforeseen_error_about_one_picture_does_not_end_the_run():
    def reply(picture, phrase):
        if picture.name == "c.png":
            raise RuntimeError("out of memory")
        return ANSWERS[phrase]

    result = evaluate(Stub(reply), dataset())
    assert result.failed[0].error == "RuntimeError: out of memory"
    assert result.phrases == 4


def test_a_picture_of_another_size_than_the_data_set_says_is_a_failure():
    samples = [*dataset().samples, sample("7", "d.png", "left", columns(0, size=(9, 9)), size=(9, 9))]
    result = evaluate(stub(), data_of(samples))
    assert "the data set says 9 x 9, the picture is 6 x 4" in result.failed[0].error


def test_when_every_picture_fails_there_is_no_result():
    with pytest.raises(DataError, match=r"no picture could be answered; the first: a\.png"):
        evaluate(stub(unreadable=frozenset({"a.png", "b.png", "c.png"})), dataset())


def test_an_empty_data_set_is_an_error():
    with pytest.raises(DataError, match="no samples"):
        evaluate(stub(), data_of([]))


def test_where_and_limit_choose_what_is_asked():
    result = evaluate(stub(), dataset(), where={"kind": ["position", "order"]}, limit=2)
    assert (result.phrases, result.limit, result.where) == (2, 2, {"kind": ["position", "order"]})
    assert result.auroc.value is None


def test_the_result_says_how_large_targets_had_to_be():
    samples = [sample("1", "a.png", "left", columns(0)), sample("2", "a.png", "right", columns(0, 1, 2))]
    result = evaluate(stub(), data_of(samples), smallest=float(columns(0, 1).mean()))
    assert (result.phrases, result.smallest) == (1, columns(0, 1).mean())


def test_the_worst_cases_come_first_one_a_picture():
    worst = evaluate(stub(), dataset()).worst
    assert [(case.id, case.iou) for case in worst] == [("3", 0), ("6", 0), ("2", 0.5)]


def test_the_result_file_holds_everything_and_no_nan(tmp_path):
    result = evaluate(stub(), dataset(), ("referent", "cris"), weights_sha256="abc", command="referent evaluate ...")
    result.save(tmp_path / "result.json")
    read = json.loads((tmp_path / "result.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    for key in ("model", "weights_sha256", "dataset", "split", "phrases", "seconds", "machine", "versions", "command"):
        assert read[key], key
    assert read["scores"]["cris"]["protocol"]["threshold"] == 0.35
    number = read["scores"]["referent"]["overall"]["numbers"]["mIoU"]
    assert number["low"] <= number["value"] <= number["high"]
    assert read == result.to_json()


def test_the_result_file_names_its_predictions_relative_to_itself(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    result = evaluate(stub(), dataset(), save="predictions.jsonl")
    assert result.predictions == "predictions.jsonl"
    result.save(tmp_path / "results" / "result.json")
    result.save("result.json")
    for path, expected in (("results/result.json", "../predictions.jsonl"), ("result.json", "predictions.jsonl")):
        assert json.loads((tmp_path / path).read_text())["predictions"] == expected
    assert evaluate(stub(), dataset()).predictions is None


def test_the_result_file_names_its_data_relative_to_itself(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    result = evaluate(stub(), dataset(), source=Source("cats.json", class_names=True))
    result.save(tmp_path / "results" / "result.json")
    read = json.loads((tmp_path / "results" / "result.json").read_text())
    assert (read["source"]["path"], read["source"]["class_names"]) == ("../cats.json", True)
    assert evaluate(stub(), dataset()).source is None


def test_two_runs_give_equal_numbers_and_intervals():
    first, second = (evaluate(stub(), dataset()).to_json() for _ in range(2))
    assert first["scores"] == second["scores"]
    assert first["auroc"] == second["auroc"]


class Interrupted(BaseException):
    pass


def test_an_interrupted_saved_run_continues_and_ends_with_the_same_numbers(tmp_path):
    save = tmp_path / "predictions.jsonl"

    def stop_at_c(picture, phrase):
        if picture.name == "c.png":
            raise Interrupted
        return ANSWERS[phrase]

    with pytest.raises(Interrupted):
        evaluate(Stub(stop_at_c), dataset(), save=save, weights_sha256="abc")
    # A kill in the middle of a line leaves half of one.
    with save.open("a") as stream:
        stream.write('{"id": "5", "pict')
    model = stub()
    result = evaluate(model, dataset(), save=save, weights_sha256="abc")
    assert model.looked == {"c.png": 1}
    assert result.resumed == 4
    whole = evaluate(stub(), dataset(), weights_sha256="abc")
    assert result.to_json()["scores"] == whole.to_json()["scores"]
    assert result.auroc == whole.auroc
    assert len(save.read_text().splitlines()) == 1 + 6


def test_saved_predictions_hold_masks_scores_and_counts(tmp_path):
    save = tmp_path / "predictions.jsonl"
    evaluate(stub(), dataset(), ("referent", "cris"), save=save)
    lines = [json.loads(line) for line in save.read_text().splitlines()]
    assert lines[0]["protocols"] == ["referent/1", "cris/1"]
    right = next(line for line in lines[1:] if line["phrase"] == "right")
    assert (decode(right["rle"]) == columns(4)).all()
    assert right["counts"] == {"referent/1": [4, 8, 4], "cris/1": [4, 8, 4]}
    assert (right["score"], right["found"], right["present"]) == (0.8, True, True)
    assert right["tags"] == {"kind": "position"}


@pytest.mark.parametrize("change", [{"weights_sha256": "other"}, {"protocols": ("cris",)}])
def test_predictions_of_another_run_are_not_mixed_in(tmp_path, change):
    save = tmp_path / "predictions.jsonl"
    evaluate(stub(), dataset(), save=save, weights_sha256="abc")
    before = save.read_bytes()
    with pytest.raises(DataError, match="another run"):
        evaluate(stub(), dataset(), **({"weights_sha256": "abc", "save": save} | change))
    assert save.read_bytes() == before


def test_a_model_in_memory_is_told_apart_by_its_tensors(tmp_path):
    save = tmp_path / "predictions.jsonl"
    model = stub()
    result = evaluate(model, dataset(), save=save)
    assert result.weights_sha256.startswith("tensors:")
    assert evaluate(model, dataset(), save=save).resumed == 6
    with pytest.raises(DataError, match="another run"):
        evaluate(stub(), dataset(), save=save)


def test_a_data_set_that_changed_since_is_noticed(tmp_path):
    save = tmp_path / "predictions.jsonl"
    evaluate(stub(), dataset(), save=save, weights_sha256="abc")
    changed = dataset().samples
    changed[0] = sample("1", "a.png", "right", columns(0, 1), kind="position")
    with pytest.raises(DataError, match="the data set has changed since"):
        evaluate(stub(), data_of(changed), save=save, weights_sha256="abc")


def test_many_phrases_about_one_picture_are_answered_in_parts(monkeypatch):
    from referent.evaluation import run

    monkeypatch.setattr(run, "PIXELS_AT_ONCE", 2 * 24)
    sizes = []
    model = stub()
    segment = model._segment

    def counting(picture, references):
        sizes.append(len(references))
        return segment(picture, references)

    model._segment = counting
    samples = [sample(str(n), "a.png", "left", columns(0, 1)) for n in range(5)]
    assert evaluate(model, data_of(samples)).number("mIoU").value == 1
    assert sizes == [2, 2, 1]


def test_no_replicates_give_no_intervals():
    number = evaluate(stub(), dataset(), replicates=0).number("mIoU")
    assert number.low is None
    assert not math.isnan(number.value)
