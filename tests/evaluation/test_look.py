from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser

import hostile_result
import numpy as np
import pytest
from evaluation_stub import Stub, sample
from hostile_result import EVIL, EVIL_PICTURE, SIZE, box
from PIL import Image

from referent.data.loading import open_dataset
from referent.errors import DataError
from referent.evaluation.look import layers
from referent.evaluation.look.cases import choose, ious
from referent.evaluation.look.writing import write_page
from referent.evaluation.reading import read_predictions, read_result
from referent.evaluation.run import evaluate


class Outline(HTMLParser):
    """The tags and texts of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_worst_best_and_random_are_chosen_one_of_each_picture_first(result):
    read = read_result(result)
    predictions = read_predictions(read, "result")
    found = ious(predictions, read.scores["referent"].protocol)
    cases = choose(predictions, found, 12)
    worst = [case for case in cases if "worst" in case.sets]
    assert [case.iou for case in worst] == [0, 0, 0, 0]
    assert len({case.picture for case in worst}) == 4
    assert {case.phrase for case in worst} == {"left cat 20"}, "of equal IoUs the larger mistake: not found, all missed"
    best = [case for case in cases if "best" in case.sets]
    assert [(case.phrase, case.iou) for case in best] == [("cat 40", 1.0)] * 4
    assert len([case for case in cases if "random" in case.sets]) == 4
    assert len({case.id for case in cases}) == len(cases)
    assert cases == choose(predictions, found, 12)
    assert cases != choose(predictions, found, 12, seed=1)
    assert len(choose(predictions, found, 1000)) == 16


def test_random_cases_are_drawn_from_all_phrases_alike(result):
    read = read_result(result)
    predictions = read_predictions(read, "result")
    found = ious(predictions, read.scores["referent"].protocol)
    seen = [case.id for seed in range(300) for case in choose(predictions, found, 6, seed) if "random" in case.sets]
    counts = np.unique(seen, return_counts=True)[1]
    assert len(counts) == 16
    assert counts.min() > 600 / 16 / 2


def test_layers_show_right_missed_and_mistaken_in_colours_of_their_own():
    answer, truth = box(10, 50), box(30, 70)
    layer = np.asarray(layers.compared(answer, truth))
    assert layer.shape == (*SIZE, 4)
    assert not layer[~answer & ~truth].any()
    for region, colour in (
        (answer & truth, layers.AGREED),
        (truth & ~answer, layers.MISSED),
        (answer & ~truth, layers.MISTAKEN),
    ):
        assert (layer[region][:, :3] == colour).all()
        assert len(np.unique(layer[region][:, 3])) >= 2, "a line around it"
    large = np.zeros((3000, 4000), dtype=bool)
    large[1500, 2000] = True
    small = np.asarray(layers.single(large, layers.TRUTH))
    assert small.shape == (480, 640, 4)
    assert small[..., 3].any(), "what is smaller than a pixel of the page is shown all the same"


def test_a_page_holds_every_case_and_its_files(run, result, tmp_path):
    ended = run("look", result, "--out", tmp_path / "page", "--cases", "12")
    assert (ended.code, ended.err) == (0, "")
    assert f"written: {tmp_path / 'page' / 'index.html'}" in ended.out
    outline = Outline((tmp_path / "page" / "index.html").read_text())
    cards = outline.of("article")
    files = {path.name for path in (tmp_path / "page" / "pictures").iterdir()}
    used = {str(image["src"]).removeprefix("pictures/") for image in outline.of("img")}
    assert used == files
    assert all(image.get("alt") for image in outline.of("img"))
    with Image.open(tmp_path / "page" / "pictures" / "0001.webp") as photograph:
        assert (photograph.format, photograph.size) == ("WEBP", SIZE[::-1])
    shown = [card for card in cards if card["data-sets"] != "failed"]
    assert 8 <= len(shown) <= 12
    left = next(card for card in shown if "left cat" in str(card["data-search"]))
    assert (left["data-iou"], left["data-truth"], left["data-found"]) == ("0.0000", "present", "not-found")
    assert (left["data-kind"], left["data-sets"]) == ("position", "worst")
    failed = [card for card in cards if card["data-sets"] == "failed"]
    assert len(failed) == 1
    assert "broken.png: cannot be read" in outline.text
    assert "1 pictures (4 phrases) could not be answered" in outline.text


def test_what_comes_from_data_stays_text(run, result, tmp_path):
    run("look", result, "--out", tmp_path / "page")
    text = (tmp_path / "page" / "index.html").read_text()
    outline = Outline(text)
    assert len(outline.of("script")) == 1
    assert not [attributes for _, attributes in outline.tags if any(name.startswith("on") for name in attributes)]
    assert not outline.of("b")
    assert all(str(image["src"]).startswith("pictures/") for image in outline.of("img"))
    assert html.escape(f"{EVIL} dog") in text
    assert EVIL in outline.text
    assert EVIL_PICTURE in outline.text, "and what looks like a placeholder is left alone"
    assert "script-src 'sha256-" in str(outline.of("meta")[1]["content"])
    assert not re.search(r"(?:src|href|url)\W{1,3}(?:https?:)?//", text), "nothing comes from elsewhere"


def test_the_same_call_makes_the_same_page_and_no_old_files_stay(run, result, tmp_path):
    page = tmp_path / "page"
    run("look", result, "--out", page, "--cases", "12")
    first = {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    run("look", result, "--out", page, "--cases", "3")
    assert len(list((page / "pictures").iterdir())) < len(first) - 1
    run("look", result, "--out", page, "--cases", "12")
    assert first == {path.name: path.read_bytes() for path in page.rglob("*") if path.is_file()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    ended = run("look", result, "--out", tmp_path / "mine")
    assert ended.code == 2
    assert "mine: holds other files; give a new folder" in ended.err


def test_a_page_stands_beside_its_result_unless_told_otherwise(run, result):
    assert run("look", result).code == 0
    assert (result.parent / "result-look" / "index.html").is_file()


def test_a_prediction_file_that_was_continued_since_is_said(run, result, tmp_path):
    content = json.loads(result.read_text())
    result.write_text(json.dumps({**content, "phrases": 5}))
    run("look", result, "--out", tmp_path / "page")
    assert "hold 16 phrases, the numbers are of 5" in Outline((tmp_path / "page" / "index.html").read_text()).text


def test_another_protocol_has_other_ious_and_says_what_the_masks_are(run, result, tmp_path):
    run("look", result, "--out", tmp_path / "page", "--protocol", "cris")
    outline = Outline((tmp_path / "page" / "index.html").read_text())
    left = next(card for card in outline.of("article") if "left cat" in str(card["data-search"]))
    assert left["data-iou"] == "0.5000", "under cris an answer counts whether it is called found or not"
    assert "cuts at a probability of 0.35; the masks shown are those at the model's own threshold, 0.5" in outline.text
    ended = run("look", result, "--protocol", "lavt")
    assert "protocol: expected one that" in ended.err


def test_pictures_that_have_gone_are_shown_as_gone(run, result, tmp_path):
    (tmp_path / "a.png").unlink()
    assert run("look", result, "--out", tmp_path / "page").code == 0
    outline = Outline((tmp_path / "page" / "index.html").read_text())
    assert "The picture cannot be shown" in outline.text
    assert "a.png: " in outline.text
    cards = [card for card in outline.of("article") if card["data-sets"] != "failed"]
    assert len(cards) == 16


def test_all_pictures_may_have_gone(run, result, tmp_path):
    for path in tmp_path.glob("*.png"):
        if path.name != "broken.png":
            path.unlink()
    assert run("look", result, "--out", tmp_path / "page").code == 0
    outline = Outline((tmp_path / "page" / "index.html").read_text())
    assert outline.text.count("The picture cannot be shown") == 16


def test_moved_data_can_be_named(run, result, questions, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in [questions, *tmp_path.glob("*.png")]:
        path.rename(moved / path.name)
    ended = run("look", result)
    assert ended.code == 2
    assert "questions.jsonl: the data of" in ended.err
    assert "give it with --data" in ended.err
    assert run("look", result, "--data", moved / "questions.jsonl", "--out", tmp_path / "page").code == 0
    outline = Outline((tmp_path / "page" / "index.html").read_text())
    assert "cannot be shown" not in outline.text


def test_other_data_are_refused(run, result, questions, tmp_path):
    lines = questions.read_text().splitlines()
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(line.replace("cat 40", "cat 41") for line in lines) + "\n")
    ended = run("look", result, "--data", other)
    assert ended.code == 2
    assert "the predictions are of 'cat 40', the data set has 'cat 41'" in ended.err
    other.write_text("\n".join(json.dumps({**json.loads(line), "id": f"x{n}"}) for n, line in enumerate(lines)) + "\n")
    assert "holds none of the phrases" in run("look", result, "--data", other).err


def test_broken_masks_and_pictures_of_another_size_are_told(run, result, tmp_path):
    read = read_result(result)
    dataset = read.source.open("val")
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    text = Outline(write_page(read, "result", dataset, tmp_path / "page").read_text()).text
    assert "the picture is now of size (30, 20), the answer of (120, 90)" in text
    ended = run("look", result, "--out", tmp_path / "page")
    assert "the answer has size (90, 120), the data set's picture (20, 30)" in ended.err
    hostile_result.ask(tmp_path)
    saved = tmp_path / "saved.jsonl"
    saved.write_text(re.sub(r'"counts": "[^"]*"', '"counts": "~"', saved.read_text()))
    ended = run("look", result, "--out", tmp_path / "page")
    assert ended.code == 2
    assert "the mask in the predictions is broken" in ended.err


def test_a_result_without_predictions_says_to_save_them(run, result):
    content = json.loads(result.read_text())
    result.write_text(json.dumps({**content, "predictions": None}))
    ended = run("look", result)
    assert ended.code == 2
    assert "has numbers only, no predictions; evaluate again with --save" in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_a_model_that_finds_nothing_and_data_of_absent_phrases_only_make_a_page(tmp_path):
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.png")
    record = {"image": "a.png", "phrase": "cow", "rle": [], "split": "val"}
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({**record, "id": str(number)}) + "\n" for number in range(3)))
    dataset = open_dataset(data, "val")
    found = evaluate(Stub(lambda picture, phrase: (box(0, 0) * 0.9, 0.1, False)), dataset, save=tmp_path / "p.jsonl")
    page = write_page(found, "found", dataset, tmp_path / "page", cases=9)
    assert len(Outline(page.read_text()).of("article")) == 3
    with pytest.raises(DataError, match="holds none of the phrases"):
        write_page(found, "found", type(dataset)("toy", [sample("9", "a.png", "x", None)]), tmp_path / "page2")
