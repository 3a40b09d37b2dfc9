from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc

from referent.errors import DataError
from referent.parsing.precomputed import PrecomputedParses, parse_from_json, parse_to_json, read_parses, write_parses
from referent.parsing.spacy_pipeline import SpacyParser, load_spacy
from referent.parsing.types import Parse

ORACLE = Path(__file__).parents[1] / "parity" / "reclip" / "reclip_trees.jsonl"
CAT = {
    "text": "a cat to the left of dogs",
    "words": ["a", "cat", "to", "the", "left", "of", "dogs"],
    "tags": ["DT", "NN", "IN", "DT", "NN", "IN", "NNS"],
    "pos": ["DET", "NOUN", "ADP", "DET", "NOUN", "ADP", "NOUN"],
    "heads": [1, 1, 1, 4, 2, 4, 5],
    "deps": ["det", "ROOT", "prep", "det", "pobj", "prep", "pobj"],
}
VOCABULARY = spacy.blank("en").vocab
DEPS = ["ROOT", "nsubj", "dobj", "conj", "pobj", "prep", "det", "amod", "appos", "punct"]


def oracle() -> list[dict]:
    return [json.loads(line) for line in ORACLE.read_text().splitlines()]


def test_noun_chunks_are_those_of_the_official_parses() -> None:
    for record in oracle():
        parse = parse_from_json(record)
        assert [parse.chunk_text(chunk) for chunk in parse.chunks] == record["noun_chunks"], record["id"]
        assert parse.root == record["root"]


@given(st.data())
def test_noun_chunks_of_any_tree_are_those_that_spacy_finds(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9))
    order = data.draw(st.permutations(range(count)))
    heads = [0] * count
    for place, index in enumerate(order):
        heads[index] = order[data.draw(st.integers(0, place - 1))] if place else index
    pos = data.draw(st.lists(st.sampled_from(["NOUN", "PRON", "ADP", "DET", "ADJ"]), min_size=count, max_size=count))
    deps = data.draw(st.lists(st.sampled_from(DEPS[1:]), min_size=count, max_size=count))
    deps[order[0]] = "ROOT"
    words = [f"w{index}" for index in range(count)]
    doc = Doc(VOCABULARY, words=words, heads=heads, deps=deps, pos=pos)
    # The tree as spaCy took it: of one that crosses itself it makes several.
    record = {"text": doc.text, "words": words, "pos": pos, "deps": deps, "heads": [token.head.i for token in doc]}
    parse = parse_from_json(record)
    assert [(chunk.start, chunk.end) for chunk in parse.chunks] == [(c.start, c.end) for c in doc.noun_chunks]


def test_a_parse_knows_children_ancestors_subtrees_and_the_characters_of_a_chunk() -> None:
    parse = parse_from_json(CAT | {"text": "a cat  to the left of dogs"})
    assert parse.children == ((), (0, 2), (4,), (), (3, 5), (6,), ())
    assert parse.ancestors(6) == [5, 4, 2, 1]
    assert sorted(parse.subtree(4)) == [3, 4, 5, 6]
    assert [parse.chunk_text(chunk) for chunk in parse.chunks] == ["a cat", "the left", "dogs"]
    assert parse.chunk_of[3] is parse.chunks[1]
    assert parse.chunk_of[2] is None


def test_a_parse_comes_back_from_its_file(tmp_path: Path) -> None:
    parses = [parse_from_json(record) for record in oracle()]
    write_parses(tmp_path / "parses.jsonl", parses)
    assert read_parses(tmp_path / "parses.jsonl") == parses
    assert parse_to_json(parses[0]) | oracle()[0] == oracle()[0]


def test_precomputed_parses_answer_for_their_texts_only(tmp_path: Path) -> None:
    path = tmp_path / "parses.jsonl"
    path.write_text(json.dumps(CAT))
    parser = PrecomputedParses(path)
    assert parser.name == "parses of parses.jsonl"
    assert [parse.text for parse in parser.parse([CAT["text"]] * 2)] == [CAT["text"]] * 2
    with pytest.raises(DataError, match=r"parses.jsonl: no parse of 'a dog' \(1 of 2 texts"):
        parser.parse([CAT["text"], "a dog"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": 3}, "`text`"),
        ({"words": []}, "`words`: expected at least one"),
        ({"words": "a cat"}, "`words`: expected a list"),
        ({"words": ["a", "dog", "to", "the", "left", "of", "dogs"]}, "'dog' does not come next in `text`"),
        ({"pos": ["NOUN"]}, "`pos`: expected 7, one a word, found 1"),
        ({"deps": None}, "`deps`"),
        ({"heads": [1, 1, 1, 4, 2, 4, 7]}, "`heads`: expected a list of word numbers from 0 to 6"),
        ({"heads": [1, 1]}, "`heads`: expected 7"),
        ({"heads": [1, 1, 3, 2, 2, 4, 5]}, "word 2 hangs on a circle"),
    ],
)
def test_a_line_that_is_no_parse_is_named(tmp_path: Path, change: dict, message: str) -> None:
    path = tmp_path / "parses.jsonl"
    path.write_text(json.dumps(CAT) + "\n\n" + json.dumps(CAT | change))
    with pytest.raises(DataError, match=r"parses.jsonl: line 3: ") as caught:
        read_parses(path)
    assert message in str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff")
    for name, message in [("broken", "line 1, column 2"), ("bytes", "UTF-8"), ("none", "No such file")]:
        with pytest.raises(DataError, match=message):
            read_parses(tmp_path / f"{name}.jsonl")


def pipeline(*parts: str) -> spacy.language.Language:
    language = spacy.blank("en")
    for part in parts:
        language.add_pipe(part)
    return language


def rule_parser(**labels: list) -> SpacyParser:
    """A pipeline whose parser is a rule: it gives every text the labels of one sentence."""
    language = pipeline("parser")

    def parse(doc: Doc) -> Doc:
        words, spaces = [word.text for word in doc], [bool(word.whitespace_) for word in doc]
        return Doc(doc.vocab, words=words, spaces=spaces, **labels)

    parser = SpacyParser(language, "rules")
    language._components = [("parser", parse)]
    return parser


def test_a_spacy_pipeline_gives_the_parse_it_made() -> None:
    parser = rule_parser(**{key: CAT[key] for key in ("heads", "deps", "pos", "tags")})
    assert parser.parse([CAT["text"]]) == [parse_from_json(CAT)]


def test_a_pipeline_that_sets_no_parts_of_speech_is_refused() -> None:
    parser = rule_parser(heads=CAT["heads"], deps=CAT["deps"])
    with pytest.raises(DataError, match="found no POS"):
        parser.parse([CAT["text"]])


def test_a_pipeline_without_a_parser_is_refused() -> None:
    with pytest.raises(DataError, match=r"en_pipeline .*, spaCy .*: expected a pipeline with a `parser`, found tagger"):
        SpacyParser(pipeline("tagger"))


def test_a_parser_of_another_label_scheme_is_refused() -> None:
    language = pipeline("parser")
    for label in ("case", "nmod", "obl"):
        language.get_pipe("parser").add_label(label)
    with pytest.raises(DataError, match=r"spaCy's English labels .* found case, nmod, obl"):
        SpacyParser(language)


def test_a_pipeline_that_is_not_installed_is_named() -> None:
    with pytest.raises(DataError, match="no_such_pipeline: expected the name of an installed spaCy pipeline"):
        load_spacy("no_such_pipeline")


def test_a_pipeline_loads_from_its_folder(tmp_path: Path) -> None:
    pipeline("parser").to_disk(tmp_path / "mine")
    assert load_spacy(tmp_path / "mine").name.startswith("en_pipeline")


def test_parses_are_values() -> None:
    assert parse_from_json(CAT) == parse_from_json(CAT) != Parse("", ())
