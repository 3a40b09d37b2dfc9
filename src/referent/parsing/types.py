"""A dependency parse as the rules of ReCLIP read it, and what every parser offers.

Labels are spaCy's English ones: universal parts of speech (`NOUN`, `ADP`, ...), Penn tags, and the ClearNLP-like
dependency labels of its English pipelines (`nsubj`, `prep`, `pobj`, ..., `ROOT`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

CHUNK_POS = frozenset({"NOUN", "PROPN", "PRON"})
CHUNK_DEPS = frozenset({"oprd", "nsubj", "dobj", "nsubjpass", "pcomp", "pobj", "dative", "appos", "attr", "ROOT"})


@dataclass(frozen=True)
class Token:
    """One word of a parse.

    Attributes:
        text: as it stands in the text.
        pos: universal part of speech.
        dep: label of the arc to its head.
        head: index of its head; its own index for the root of a sentence.
        start: offset of its first character in the text.
        tag: Penn Treebank tag. No rule reads it; it is kept because it explains a parse to people.
    """

    text: str
    pos: str
    dep: str
    head: int
    start: int
    tag: str = ""

    @property
    def end(self) -> int:
        """Offset behind its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Chunk:
    """A base noun phrase: the tokens `start` to `end`, the last of which is its noun.

    Attributes:
        start: index of the first token.
        end: index behind the last token.
    """

    start: int
    end: int

    @property
    def root(self) -> int:
        """Index of its noun."""
        return self.end - 1


@dataclass(frozen=True)
class Parse:
    """The words of a text and the tree over them.

    The heads must form a forest (every token reaches one that is its own head), with at least one token.

    Attributes:
        text: what was parsed.
        tokens: in the order of the text.
    """

    text: str
    tokens: tuple[Token, ...]

    @cached_property
    def root(self) -> int:
        """Index of the first token that is its own head: the head of the first sentence."""
        return next(index for index, token in enumerate(self.tokens) if token.head == index)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """For each token the tokens that hang on it, ascending."""
        found: list[list[int]] = [[] for _ in self.tokens]
        for index, token in enumerate(self.tokens):
            if token.head != index:
                found[token.head].append(index)
        return tuple(map(tuple, found))

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """The noun chunks, left to right, never overlapping: spaCy's rule for English (3.0 to 3.8)."""
        found: list[Chunk] = []
        last = -1
        for index, token in enumerate(self.tokens):
            if token.pos not in CHUNK_POS or not self._heads_a_chunk(token):
                continue
            left = min(self.subtree(index))
            if left > last:
                found.append(Chunk(left, index + 1))
                last = index
        return tuple(found)

    @cached_property
    def chunk_of(self) -> tuple[Chunk | None, ...]:
        """For each token the noun chunk that holds it, or None."""
        owners: list[Chunk | None] = [None] * len(self.tokens)
        for chunk in self.chunks:
            owners[chunk.start : chunk.end] = [chunk] * (chunk.end - chunk.start)
        return tuple(owners)

    def chunk_text(self, chunk: Chunk) -> str:
        """The characters of a chunk, as they stand in the text."""
        return self.text[self.tokens[chunk.start].start : self.tokens[chunk.end - 1].end]

    def subtree(self, index: int) -> list[int]:
        """The token and all that hang on it, directly or not; in no order."""
        found = [index]
        for each in found:
            found.extend(self.children[each])
        return found

    def ancestors(self, index: int) -> list[int]:
        """The token's head, the head's head, and so on up to the root of its sentence."""
        found = []
        while self.tokens[index].head != index:
            index = self.tokens[index].head
            found.append(index)
        return found

    def _heads_a_chunk(self, token: Token) -> bool:
        if token.dep != "conj":
            return token.dep in CHUNK_DEPS
        # A conjunct counts as what the first of its series counts as.
        index = token.head
        while self.tokens[index].dep == "conj" and self.tokens[index].head < index:
            index = self.tokens[index].head
        return self.tokens[index].dep in CHUNK_DEPS


class Parser(Protocol):
    """Where parses come from.

    Attributes:
        name: what made them, with version ("en_core_web_sm 3.8.0, spaCy 3.8.18"); kept beside every result, because
            results depend on it.
    """

    @property
    def name(self) -> str:
        """What made the parses, with version."""

    def parse(self, texts: Sequence[str]) -> list[Parse]:
        """One parse a text, in order.

        Args:
            texts: as they are to be parsed, lower-cased already where the rules want that; none is blank.

        Raises:
            DataError: a text that this parser cannot answer for.
        """
