"""A dependency tree that is being rewritten: parallel lists, one entry a word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Tree:
    """The words of one sentence and the tree over them. Exactly one word, the root, is its own head.

    Attributes:
        words: as written.
        tags: Penn Treebank tags.
        heads: index of each word's head; the root's is its own.
        deps: label of the arc to the head.
        spaces: whether a space follows the word.
    """

    words: list[str]
    tags: list[str]
    heads: list[int]
    deps: list[str]
    spaces: list[bool]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def text(self) -> str:
        """The words with the spaces between them."""
        written = (word + " " * space for word, space in zip(self.words, self.spaces, strict=True))
        return "".join(written).rstrip(" ")

    @property
    def root(self) -> int:
        """Index of the word that is its own head."""
        return next(index for index, head in enumerate(self.heads) if head == index)

    def copy(self) -> Tree:
        """A tree of its own lists."""
        return Tree(list(self.words), list(self.tags), list(self.heads), list(self.deps), list(self.spaces))

    def children(self, index: int) -> list[int]:
        """The words that hang on a word, ascending."""
        return [child for child, head in enumerate(self.heads) if head == index and child != index]

    def subtree(self, index: int) -> list[int]:
        """The word and all that hang on it, ascending."""
        found = [index]
        for each in found:
            found.extend(self.children(each))
        return sorted(found)

    def hang(self, index: int, head: int, dep: str | None = None) -> None:
        """Hang a word, with all below it, on another one; under a new label if one is given."""
        self.heads[index] = head
        if dep is not None:
            self.deps[index] = dep

    def replace(self, old: int, new: int) -> None:
        """Give `new` the place of `old`: its head (or being the root) and its label. `old` then hangs on `new`."""
        self.heads[new] = new if self.heads[old] == old else self.heads[old]
        self.deps[new] = self.deps[old]
        self.heads[old] = new

    def cut(self, indices: Sequence[int], root: int) -> Tree:
        """The tree over some of the words; a word whose head is not among them hangs on the nearest head that is.

        Args:
            indices: ascending.
            root: which of them all others hang on.
        """
        place = {index: number for number, index in enumerate(indices)}
        heads, deps = [], []
        for index in indices:
            head = self.heads[index]
            while head not in place and self.heads[head] != head:
                head = self.heads[head]
            heads.append(place[index] if index == root else place.get(head, place[root]))
            deps.append("ROOT" if index == root else self.deps[index])
        words = [self.words[index] for index in indices]
        # Where words were left out a space stands; "well-known" keeps its hyphen close.
        spaces = [
            self.spaces[index] or following != index + 1
            for index, following in zip(indices, [*indices[1:], indices[-1] + 1], strict=True)
        ]
        return Tree(words, [self.tags[index] for index in indices], heads, deps, spaces)
