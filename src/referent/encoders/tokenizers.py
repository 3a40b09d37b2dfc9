"""Phrases to token ids as the encoders' own tokenizers make them.

CLIP's vocabulary comes with a package that is installed; BERT's is the user's, and travels in the weight file.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from referent.encoders.located import locate
from referent.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

START_OF_TEXT = 49406
END_OF_TEXT = 49407
CLIP_VOCABULARY = 49408
IMPOSSIBLE_BYTE = 187
"""CLIP's token of the byte 0xFF, which no UTF-8 text holds: no phrase has it, so it can stand for a hidden word."""

_PADDING, _UNKNOWN, _START, _END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
_BERT_MARKERS = (_PADDING, _UNKNOWN, _START, _END, "[MASK]")
_VOCABULARY_FILES = ("vocab.txt", "tokenizer.json")

# The tokenizer library reads these two literals as its special tokens; CLIP's reads them as ordinary text. "<" and a
# letter never share a token, so encoding the two sides apart gives CLIP's ids.
_LITERAL_SPECIALS = re.compile(r"(?<=<)(?=(?:start|end)_of_text>)")


def _clean(text: str) -> str:
    """CLIP's cleaning: repair mojibake, unescape HTML twice, collapse white space, lower case."""
    import ftfy

    unescaped = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", unescaped.strip()).strip().lower()


class Tokenizer(Protocol):
    """What turns phrases into rows of ids."""

    @property
    def size(self) -> int:
        """All ids are below this."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text` without markers."""

    def piece(self, number: int) -> str:
        """The text of one id; of BERT, "##" before it where it goes on with a word."""

    def cuts(self, text: str, context_length: int) -> bool:
        """Whether a row of `context_length` ids misses a part of `text`."""

    def __call__(self, texts: Sequence[str], context_length: int) -> Tensor:
        """N phrases to (N, context_length) int64, zero padded."""


class ClipTokenizer:
    """CLIP's byte-pair encoding (49,408 entries).

    The markers that CLIP's own code would recognise inside a text ("<|startoftext|>", "<|endoftext|>") are ordinary
    text here, so a phrase can never end itself early.
    """

    @cached_property
    def _library(self) -> Any:
        import instant_clip_tokenizer

        return instant_clip_tokenizer.Tokenizer()

    def encode(self, text: str) -> list[int]:
        """The BPE ids of `text` without start and end markers. Id 0 is a real token ("!" that does not end a word)."""
        ids: list[int] = []
        for part in _LITERAL_SPECIALS.split(_clean(text)):
            ids.extend(self._library.encode(part))
        return ids

    def count(self, text: str) -> int:
        """The number of BPE tokens of `text` without start and end markers: more than `context_length` - 2 are cut."""
        return len(self.encode(text))

    @property
    def size(self) -> int:
        """All ids are below this."""
        return CLIP_VOCABULARY

    def piece(self, number: int) -> str:
        """The text of one id, without the space that ends a word."""
        text: str = self._library.decode([number])
        return text.strip()

    def cuts(self, text: str, context_length: int) -> bool:
        """Whether a row of `context_length` ids misses a part of `text`."""
        return self.count(text) > context_length - 2

    def __call__(self, texts: Sequence[str], context_length: int) -> Tensor:
        """Token rows as the published systems build them.

        Args:
            texts: N phrases.
            context_length: L, length of a row, both markers included; at least 2.

        Returns:
            (N, L) int64: start marker, ids, end marker, zeros. A longer text keeps its first L - 2 ids.
        """
        import torch

        rows = torch.zeros(len(texts), context_length, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [START_OF_TEXT, *self.encode(text)[: context_length - 2], END_OF_TEXT]
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return rows


class BertTokenizer:
    """BERT's word pieces: lower case, no accents.

    Markers inside a text ("[SEP]") are ordinary text here, so a phrase can never end itself early.

    Args:
        vocabulary: the word pieces in the order of their ids.

    Raises:
        WeightsError: the vocabulary lacks a marker, or its padding is not id 0.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._pieces = vocabulary
        self.ids = {piece: number for number, piece in enumerate(vocabulary)}
        missing = [marker for marker in _BERT_MARKERS if marker not in self.ids]
        if missing or self.ids[_PADDING] != 0:
            raise WeightsError(
                f"vocabulary: expected BERT's, with {_PADDING} as its first piece and "
                f"{', '.join(_BERT_MARKERS[1:])}, found none of {', '.join(missing) or _PADDING + ' there'}"
            )

    @cached_property
    def _library(self) -> Any:
        from tokenizers import Tokenizer as Library
        from tokenizers.models import WordPiece
        from tokenizers.normalizers import BertNormalizer
        from tokenizers.pre_tokenizers import BertPreTokenizer

        library = Library(WordPiece(self.ids, unk_token=_UNKNOWN))
        library.normalizer = BertNormalizer(lowercase=True)
        library.pre_tokenizer = BertPreTokenizer()
        return library

    @property
    def size(self) -> int:
        """All ids are below this."""
        return len(self.ids)

    def encode(self, text: str) -> list[int]:
        """The ids of `text` without markers."""
        ids: list[int] = self._library.encode(text).ids
        return ids

    def piece(self, number: int) -> str:
        """The word piece of one id, "##" before it where it goes on with a word."""
        return self._pieces[number]

    def cuts(self, text: str, context_length: int) -> bool:
        """Whether a row of `context_length` ids misses a part of `text`."""
        return len(self.encode(text)) > context_length - 1

    def __call__(self, texts: Sequence[str], context_length: int) -> Tensor:
        """Token rows as LAVT and MagNet build them.

        Args:
            texts: N phrases.
            context_length: L, length of a row, both markers included; at least 2.

        Returns:
            (N, L) int64: [CLS], ids, [SEP], zeros. A longer text keeps the first L of these, so it loses [SEP].
        """
        import torch

        rows = torch.zeros(len(texts), context_length, dtype=torch.int64)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.ids[_START], *self.encode(text), self.ids[_END]][:context_length]
            row[: len(ids)] = torch.tensor(ids, dtype=torch.int64)
        return rows


def read_vocabulary(source: str | Path) -> tuple[str, ...]:
    """BERT's word pieces in the order of their ids.

    Args:
        source: `vocab.txt` or `tokenizer.json`, a folder with one of them, or a hub id.

    Raises:
        WeightsError: not there, or not such a file.
    """
    path, _ = locate(source, _VOCABULARY_FILES)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix != ".json":
            return tuple(text.splitlines())
        pieces: dict[str, int] = json.loads(text)["model"]["vocab"]
        return tuple(sorted(pieces, key=pieces.__getitem__))
    except OSError as error:
        raise WeightsError(f"{path}: vocabulary: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: not a vocabulary of BERT: {type(error).__name__}: {error}") from error
