"""The parser inside the package, and the recipe that made it."""

from __future__ import annotations

import gzip
import json
import runpy
import sys
from pathlib import Path

import pytest
import spacy

from referent.models.reclip.settings import ResolverSettings
from referent.models.reclip.tree import read_tree
from referent.parsing.pocket import pocket_parser
from referent.parsing.precomputed import parse_from_json
from referent.parsing.spacy_pipeline import SpacyParser, load_spacy
from referent.parsing.types import Parse

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples" / "parser"
SHIPPED = ROOT / "src" / "referent" / "pocket" / "parser"
ORACLE = ROOT / "tests" / "parity" / "reclip" / "reclip_trees.jsonl"
LARGEST = 8_000_000
FLOOR = 0.7


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    return pocket_parser()


def arcs(parse: Parse) -> str:
    return " ".join(f"{token.text}<{parse.tokens[token.head].text}:{token.dep}" for token in parse.tokens)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("man in front of the bus", "man<man:ROOT in<man:prep front<in:pobj of<front:prep the<bus:det bus<of:pobj"),
        ("guy left", "guy<guy:ROOT left<guy:acl"),
        ("2nd from right", "2nd<2nd:ROOT from<2nd:prep right<from:pobj"),
        ("a white and brown dog", "a<dog:det white<dog:amod and<white:cc brown<white:conj dog<dog:ROOT"),
        ("She gave him the red book.", "She<gave:nsubj gave<gave:ROOT him<gave:dative the<book:det red<book:amod "
         "book<gave:dobj .<gave:punct"),
    ],
)  # fmt: skip
def test_the_shipped_parser_reads_fragments_and_sentences(parser: SpacyParser, text: str, tree: str) -> None:
    assert arcs(parser.parse([text])[0]) == tree


def test_parts_of_speech_follow_from_tags_and_labels(parser: SpacyParser) -> None:
    (parse,) = parser.parse(["there is the dog that was sitting"])
    assert [token.pos for token in parse.tokens] == ["PRON", "AUX", "DET", "NOUN", "PRON", "AUX", "VERB"]


def test_most_oracle_texts_lead_to_an_official_tree_from_the_raw_text(parser: SpacyParser) -> None:
    keywords = ResolverSettings.compat().keywords
    listed: dict[str, list[Parse]] = {}
    for line in ORACLE.read_text(encoding="utf-8").splitlines():
        listed.setdefault(json.loads(line)["text"], []).append(parse_from_json(json.loads(line)))
    found = zip(parser.parse(list(listed)), listed.values(), strict=True)
    right = [read_tree(parse, keywords) in [read_tree(each, keywords) for each in parses] for parse, parses in found]
    assert sum(right) >= FLOOR * len(listed)


def test_the_answer_does_not_depend_on_what_is_parsed_beside_it(parser: SpacyParser) -> None:
    texts = ["guy in blue on the right side of the pic", "cat", "the second dog from the left", "a"]
    assert parser.parse(texts) == [parser.parse([text])[0] for text in texts]


def test_long_odd_and_foreign_texts_are_parsed_too(parser: SpacyParser) -> None:
    texts = ["dog next to " * 120 + "dog", "???", "der Hund links", "🐕 left", "left  of   it", "\n"]
    for text, parse in zip(texts, parser.parse(texts), strict=True):
        assert parse.text == text
        assert all(0 <= token.head < len(parse.tokens) for token in parse.tokens)


def test_the_shipped_folder_is_small_and_holds_no_words_of_the_treebank() -> None:
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt")]
    strings = spacy.load(SHIPPED).vocab.strings
    assert "nsubj" in strings
    assert "Baghdad" not in strings


def test_its_name_says_what_it_is_and_under_which_spacy(parser: SpacyParser) -> None:
    assert parser.name == f"en_referent_pocket 1.0.0, spaCy {spacy.__version__}"


def test_its_licence_is_the_treebanks() -> None:
    assert spacy.load(SHIPPED).meta["license"] == "CC BY-SA 4.0"


TREEBANK = """\
1	the	the	DET	DT	_	2	det	_	_
2	man	man	NOUN	NN	_	0	root	_	_
3	in	in	ADP	IN	_	4	case	_	_
4	front	front	NOUN	NN	_	2	nmod	_	_
5	running	run	VERB	VBG	_	2	acl	_	_

"""


def test_the_recipe_makes_a_pipeline_that_the_package_can_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spacy.cli.init_config import fill_config
    from spacy.cli.train import train

    for split in ("train", "dev"):
        with gzip.open(tmp_path / f"en_ewt-ud-{split}.conllu.gz", "wt") as file:
            file.write(TREEBANK * 40)
    (tmp_path / "lvis_v1_train_cat_info.json").write_text('[{"synonyms": ["zebra", "hair_dryer", "glasses"]}]')

    def run(script: str, *arguments: Path) -> None:
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(RECIPE / script), run_name="__main__")

    run("prepare.py", tmp_path, tmp_path / "prepared")
    fill_config(tmp_path / "config.cfg", RECIPE / "config.cfg", silent=True)
    paths = {f"paths.{split}": str(tmp_path / "prepared" / f"{split}.spacy") for split in ("train", "dev")}
    train(tmp_path / "config.cfg", tmp_path / "trained", overrides={**paths, "training.max_steps": 1})
    run("ship.py", tmp_path / "trained" / "model-last", tmp_path / "shipped")
    parse = load_spacy(tmp_path / "shipped").parse(["The man in front"])[0]
    assert all(token.pos and token.tag and token.dep for token in parse.tokens)
    assert "zebra" not in spacy.load(tmp_path / "shipped").vocab.strings
