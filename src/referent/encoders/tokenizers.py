"""Phrases to token ids, byte for byte as CLIP's own tokenizer does, with the vocabulary inside the package."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

START_OF_TEXT = 49406
END_OF_TEXT = 49407
CLIP_VOCABULARY = 49408
IMPOSSIBLE_BYTE = 187
"""CLIP's token of the byte 0xFF, which no UTF-8 text holds: no phrase has it, so it can stand for a hidden word."""

# The tokenizer library reads these two literals as its special tokens; CLIP's reads them as ordinary text. "<" and a
# letter never share a token, so encoding the two sides apart gives CLIP's ids.
_LITERAL_SPECIALS = re.compile(r"(?<=<)(?=(?:start|end)_of_text>)")


def _clean(text: str) -> str:
    """CLIP's cleaning: repair mojibake, unescape HTML twice, collapse white space, lower case."""
    import ftfy

    unescaped = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", unescaped.strip()).strip().lower()


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
