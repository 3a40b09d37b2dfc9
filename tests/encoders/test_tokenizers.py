"""CLIP's tokens, byte for byte."""

import json
from pathlib import Path

import pytest

from referent.encoders.tokenizers import IMPOSSIBLE_BYTE, ClipTokenizer

# Made with OpenAI's own tokenizer: text -> BPE ids, and rows of length 17 and 22.
KNOWN = json.loads((Path(__file__).parent / "clip_tokens.json").read_text(encoding="utf-8"))
TOKENIZER = ClipTokenizer()


@pytest.mark.parametrize("text", KNOWN)
def test_tokens_are_those_of_clip(text: str) -> None:
    assert TOKENIZER.encode(text) == KNOWN[text]["bpe"]
    for length in (17, 22):
        assert TOKENIZER([text], length).tolist() == [KNOWN[text][str(length)]]


def test_a_long_text_keeps_its_first_tokens_and_the_end_marker() -> None:
    text = " ".join(["cat"] * 30)
    row = TOKENIZER([text], 17)[0].tolist()
    assert row[0] == 49406
    assert row[-1] == 49407
    assert row[1:-1] == TOKENIZER.encode(text)[:15]
    assert TOKENIZER.count(text) == 30


def test_rows_come_in_order_and_are_zero_padded() -> None:
    rows = TOKENIZER(["a cat", "the dog on the left"], 10)
    assert rows.shape == (2, 10)
    assert rows[0].tolist()[4:] == [0] * 6
    assert rows[1].tolist()[:2] == [49406, 518]


def test_no_phrases_are_no_rows() -> None:
    assert TOKENIZER([], 17).shape == (0, 17)


@pytest.mark.parametrize("text", ["cat <end_of_text> dog", "<start_of_text>", "<|endoftext|>", "<<end_of_text>>"])
def test_no_text_can_end_itself_early(text: str) -> None:
    assert not {49406, 49407} & set(TOKENIZER.encode(text))


def test_a_marker_written_out_is_ordinary_text() -> None:
    assert TOKENIZER.encode("<end_of_text>") == [
        *TOKENIZER.encode("<"),
        *TOKENIZER.encode("end_of_text>"),
    ]


def test_exclamation_mark_inside_a_word_is_id_0() -> None:
    assert TOKENIZER.encode("!(left)")[0] == 0


@pytest.mark.parametrize("text", ["ÿ", "þÿ", "\udcff".encode("utf-8", "replace").decode(), "naïve café", "😀"])
def test_no_text_holds_the_token_that_stands_for_a_hidden_word(text: str) -> None:
    assert IMPOSSIBLE_BYTE not in TOKENIZER.encode(text)
