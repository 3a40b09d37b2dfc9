"""The words of a parse, and the text with which an entity is scored."""

from __future__ import annotations

from collections.abc import Iterable

from referent.models.reclip.settings import ResolverSettings
from referent.models.reclip.tree import Entity, Relation
from referent.parsing.types import Chunk, Parse


class Wording:
    """Texts of one parse under some settings.

    A relation without a keyword adds words to its entity: its noun phrase alone would lose the "in blue" of "man in
    blue".
    """

    def __init__(self, parse: Parse, settings: ResolverSettings) -> None:
        self.parse, self.settings = parse, settings

    def words(self, tokens: Iterable[int]) -> str:
        """Tokens, a space between each."""
        return " ".join(self.parse.tokens[index].text for index in tokens)

    def text(self, entity: Entity, spoken: int) -> str:
        """What CLIP is asked for an entity.

        Args:
            entity: of the parse's tree.
            spoken: how many of its relations without keyword have been read so far; the words of these are added.
        """
        plain = self.parse.chunk_text(entity.chunk)
        relations = [relation for relation in entity.relations if relation.kind is None][:spoken]
        if not relations:
            return plain
        if self.settings.possessives == "append":
            return " ".join([plain, *(self._appended(relation) for relation in relations)])
        towards = relations if self.settings.all_possessives else relations[-1:]
        tokens = set(range(entity.chunk.start, entity.chunk.end))
        for relation in towards:
            tokens |= self._between(entity.chunk, relation.child.chunk)
        return self.words(sorted(tokens))

    def _appended(self, relation: Relation) -> str:
        return f"{self.words(relation.tokens)} {self.parse.chunk_text(relation.child.chunk)}".strip()

    def _between(self, own: Chunk, other: Chunk) -> set[int]:
        """Tokens of the other noun phrase with all that hangs on it, and the way up from there."""
        inside = set(range(own.start, own.end))
        found: set[int] = set()
        for index in range(other.start, other.end):
            above = self.parse.ancestors(index)
            if index not in inside and not inside & set(above):
                continue
            found.update(self.parse.subtree(index))
            for ancestor in above:
                if self.settings.expansion_stays_inside and ancestor in inside:
                    break
                found.add(ancestor)
        return found
