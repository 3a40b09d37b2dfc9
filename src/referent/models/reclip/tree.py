"""The semantic tree of an expression: entities, their relations to other entities, and their superlatives (3.3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from referent.models.reclip.keywords import Keywords
from referent.parsing.types import Chunk, Parse


@dataclass(frozen=True)
class Superlative:
    """What singles one thing out among all.

    Attributes:
        kind: key of `keywords.SUPERLATIVES`.
        tokens: of the path that expresses it, ascending.
    """

    kind: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Entity:
    """A thing that the expression speaks of.

    Attributes:
        chunk: its noun phrase.
        relations, superlatives: in the order in which they are applied.
    """

    chunk: Chunk
    relations: list[Relation] = field(default_factory=list)
    superlatives: list[Superlative] = field(default_factory=list)


@dataclass(frozen=True)
class Relation:
    """From one entity to another.

    Attributes:
        kind: key of `keywords.RELATIONS`; None where the path has no keyword ("possessive": it only adds words).
        tokens: of the path between the two, ascending.
        child: the other entity.
    """

    kind: str | None
    tokens: tuple[int, ...]
    child: Entity


@dataclass(frozen=True)
class Tree:
    """What was understood of an expression.

    Attributes:
        root: the entity that is asked for; None where none was found.
        by_fallback: it was looked for at the first noun phrase, since the head of the sentence gave none.
        open: the text has a keyword of relation or superlative.
    """

    root: Entity | None
    by_fallback: bool
    open: bool


def read_tree(parse: Parse, keywords: Keywords, inside_noun_phrases: bool = False) -> Tree:
    """The semantic tree of a parse.

    Args:
        parse: of the lower-cased expression.
        keywords: the lists to listen to.
        inside_noun_phrases: the mend `ResolverSettings.superlative_in_noun_phrase`.

    Raises:
        RecursionError: the expression is nested hundreds of levels deep.
    """
    reader = _Reader(parse, keywords, inside_noun_phrases)
    root = reader.entity(parse.root)
    by_fallback = root is None and bool(parse.chunks)
    if by_fallback:
        root = reader.entity(parse.tokens[parse.chunks[0].root].head)
    return Tree(root, by_fallback, keywords.opens(token.text for token in parse.tokens))


class _Reader:
    def __init__(self, parse: Parse, keywords: Keywords, inside_noun_phrases: bool) -> None:
        self.parse = parse
        self.keywords = keywords
        self.inside_noun_phrases = inside_noun_phrases

    def entity(self, index: int) -> Entity | None:
        """The entity of a token, or of its first child where it is in no noun phrase ("X is ...")."""
        chunk = self.parse.chunk_of[index]
        if chunk is None:
            children = self.parse.children[index]
            if not children or (chunk := self.parse.chunk_of[children[0]]) is None:
                return None
            index = children[0]
        entity = Entity(chunk)
        self._walk(entity, index, ())
        return entity

    def _walk(self, entity: Entity, index: int, path: tuple[int, ...]) -> None:
        """Depth first from a token to other entities, which end the way, and to leaves."""
        chunk, children = self.parse.chunk_of[index], self.parse.children[index]
        word = self.parse.tokens[index].text
        # Identity, not equality: "bus behind bus" has two.
        if chunk is not None and chunk is not entity.chunk and not self.keywords.is_place(word):
            child = self.entity(index)
            assert child is not None
            entity.relations.append(Relation(self.keywords.relation(self._words(path)), tuple(sorted(path)), child))
            return
        extended = (*path, index)
        if not children:
            self._superlative(entity, extended)
            return
        below = [each for each in children if not self._kept_in_phrase(chunk, each)]
        if not below and (len(children) == 1 or self.inside_noun_phrases):
            self._superlative(entity, extended)
        further = extended if chunk is None or self._is_keyword(word) else path
        for each in below:
            self._walk(entity, each, further)

    def _kept_in_phrase(self, chunk: Chunk | None, child: int) -> bool:
        """Whether a word belongs to the same noun phrase as its head, and says nothing of its own."""
        same = chunk is not None and self.parse.chunk_of[child] is chunk
        return same and self.keywords.superlative([self.parse.tokens[child].text]) is None

    def _superlative(self, entity: Entity, path: tuple[int, ...]) -> None:
        kind = self.keywords.superlative(self._words(path))
        if kind is not None:
            entity.superlatives.append(Superlative(kind, tuple(sorted(path))))

    def _is_keyword(self, word: str) -> bool:
        return self.keywords.is_place(word) or self.keywords.superlative([word]) is not None

    def _words(self, path: Sequence[int]) -> list[str]:
        return [self.parse.tokens[index].text for index in path]
