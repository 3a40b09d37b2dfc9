"""BERT's word pieces, held to transformers' tokenizer on a small vocabulary."""

import json
from pathlib import Path

import pytest

from referent.encoders.tokenizers import BertTokenizer, read_vocabulary
from referent.errors import WeightsError

MARKERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*MARKERS, *"the a man woman left cup red un ##able play ##ing ##s caf cafe , . ' [ ] sep cls ##e e".split()]
TEXTS = [
    "The left cup",
    "a Woman playing, unable .",
    "café's",
    "  THE\tman  ",
    "words 中 that nobody knows",
    "[SEP] the [CLS]",
    "",
]


def test_rows_are_those_of_transformers(tmp_path: Path) -> None:
    from transformers import BertTokenizer as Theirs

    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    theirs = Theirs(str(tmp_path / "vocab.txt"), do_lower_case=True)
    ours = BertTokenizer(read_vocabulary(tmp_path))
    for text in TEXTS:
        if "[" not in text:
            expected = theirs(text, padding="max_length", max_length=12)["input_ids"]
            assert ours([text], 12).tolist() == [expected]


def test_no_text_can_end_itself_early() -> None:
    ours = BertTokenizer(PIECES)
    assert not {PIECES.index(marker) for marker in ("[SEP]", "[CLS]", "[PAD]")} & set(
        ours.encode("[SEP] the [CLS] [PAD]")
    )


def test_a_long_text_is_cut_to_its_first_ids_and_loses_the_end_marker() -> None:
    ours = BertTokenizer(PIECES)
    row = ours(["the man the man the"], 4)[0].tolist()
    assert row == [2, *ours.encode("the man the")]
    assert ours.cuts("the man the man", 4)
    assert not ours.cuts("the man the", 4)  # only the marker is lost
    assert ours([], 4).shape == (0, 4)
    assert ours.size == len(PIECES)


def test_the_vocabulary_is_read_from_either_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": {piece: number for number, piece in reversed(list(enumerate(PIECES)))}}})
    )
    assert read_vocabulary(tmp_path) == tuple(PIECES)
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    assert read_vocabulary(tmp_path / "vocab.txt") == read_vocabulary(tmp_path) == tuple(PIECES)


@pytest.mark.parametrize("content", ["", "{", '{"model": 3}', "[]"])
def test_another_file_is_refused_and_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        read_vocabulary(tmp_path)
    with pytest.raises(WeightsError, match=r"nothing\.txt"):
        read_vocabulary(tmp_path / "nothing.txt")


@pytest.mark.parametrize("pieces", [["a", "b"], ["a", *MARKERS], MARKERS[:-1]])
def test_a_vocabulary_of_something_else_is_refused(pieces: list[str]) -> None:
    with pytest.raises(WeightsError, match="expected BERT's"):
        BertTokenizer(pieces)
