"""Phrases that say where a thing is, composed of the treebank's own short noun phrases and a list of patterns.

A treebank of blogs and mail has "left" as the past of "leave" and nearly never "the left one"; without such phrases the
parser reads "guy left" as a sentence. The patterns are in `positions.yaml`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from referent.parsing.treebank.tree import Tree

NOUN_TAGS = frozenset({"NN", "NNS"})
MODIFIER_TAGS = frozenset({"JJ", "NN", "VBN", "VBG"})
ARTICLES = frozenset({"a", "an", "the"})
SLOTS = ("*", "+")
LONGEST_PHRASE = 4
# Shares: of phrases without a common shape, with a modifier before the noun, with a full stop; of modifiers behind it
# that say where it is; of the others that speak of the first noun and not of the last; of nouns that are a name.
WHOLE, BEFORE, FULL_STOP, PLACE, OF_THE_FIRST, NAMED = 0.15, 0.3, 0.08, 0.65, 0.3, 0.4


@dataclass(frozen=True)
class Part:
    """One word or slot of a pattern.

    Attributes:
        words: one of them is taken. `*` stands for a noun phrase, `+` for one without article, `~` for a participle,
            `%` for a colour.
        tag: Penn tag; empty for a noun phrase.
        head: number of the part that it hangs on; None for what the whole pattern modifies, or for the root.
        dep: label.
    """

    words: tuple[str, ...]
    tag: str
    head: int | None
    dep: str


@dataclass(frozen=True)
class Patterns:
    """The lists of `positions.yaml`, each pattern with its weight; see there."""

    before: list[tuple[list[Part], float]]
    place: list[tuple[list[Part], float]]
    looks: list[tuple[list[Part], float]]
    whole: list[tuple[list[Part], float]]
    colours: list[str]


class PositionPhrases:
    """Composes phrases.

    Args:
        trees: of the treebank, in the English scheme; short noun phrases and participles are taken from them as often
            as they occur.
        names: of things that are seen in photographs. They take the noun's place in a share of the noun phrases, for a
            treebank of blogs and mail speaks of other things.
        rng: draws everything.
    """

    def __init__(self, trees: Sequence[Tree], names: Sequence[str], rng: random.Random) -> None:
        self._rng = rng
        self._names = names
        self._phrases = [phrase for tree in trees for phrase in _short_phrases(tree)]
        self._participles = [
            tree.words[index]
            for tree in trees
            for index in range(len(tree))
            if tree.tags[index] == "VBG" and tree.deps[index] in ("acl", "advcl") and tree.words[index].islower()
        ]

    def phrase(self) -> Tree:
        """One more phrase, lower-cased and without punctuation but commas and here and there a full stop."""
        lists = patterns()
        if self._rng.random() < WHOLE:
            tree = self._fill(self._draw(lists.whole))
        else:
            tree = self._noun_phrase()
            if self._rng.random() < BEFORE:
                tree = self._put_before(tree, self._draw(lists.before))
            last = tree.root
            for _ in range(self._rng.choices((0, 1, 2, 3), (1, 6, 4, 1))[0]):
                tree, last = self._put_behind(tree, last)
        if self._rng.random() < FULL_STOP:
            tree = _joined(tree, Tree(["."], ["."], [0], ["punct"], [False]))
            tree.hang(len(tree) - 1, next(index for index, dep in enumerate(tree.deps) if dep == "ROOT"))
        return tree

    def _draw(self, patterns: list[tuple[list[Part], float]]) -> list[Part]:
        chosen: list[Part] = self._rng.choices(*zip(*patterns, strict=True))[0]
        return chosen

    def _noun_phrase(self, with_article: bool = True) -> Tree:
        tree = self._rng.choice(self._phrases).copy()
        if self._names and tree.tags[tree.root] == "NN" and self._rng.random() < NAMED:
            tree.words[tree.root] = self._rng.choice(self._names)
        if tree.words[0] in ARTICLES and (not with_article or self._rng.random() < 0.6):
            tree = tree.cut(range(1, len(tree)), tree.root)
        return tree

    def _fill(self, parts: list[Part]) -> Tree:
        tree, roots = Tree([], [], [], [], []), []
        for part in parts:
            piece = self._piece(part)
            roots.append(len(tree) + piece.root)
            tree = _joined(tree, piece)
        for part, root in zip(parts, roots, strict=True):
            tree.hang(root, root if part.head is None else roots[part.head], part.dep)
        return tree

    def _piece(self, part: Part) -> Tree:
        word = self._rng.choice(part.words)
        if word in SLOTS:
            return self._noun_phrase(with_article=word == "*")
        if word == "~":
            word = self._rng.choice(self._participles)
        elif word == "%":
            word = self._rng.choice(patterns().colours)
        return Tree([word], [part.tag], [0], ["ROOT"], [True])

    def _put_before(self, tree: Tree, parts: list[Part]) -> Tree:
        noun, articles = tree.root, int(tree.words[0] in ARTICLES)
        rest = tree.cut(range(articles, len(tree)), noun)
        joined = _joined(self._fill(parts), rest)
        if articles:
            joined = _joined(Tree(tree.words[:1], tree.tags[:1], [0], tree.deps[:1], [True]), joined)
        noun = len(joined) - len(rest) + rest.root
        for index in range(len(joined)):
            if joined.heads[index] == index:
                joined.hang(index, noun)
        return joined

    def _put_behind(self, tree: Tree, last: int) -> tuple[Tree, int]:
        """The longer phrase, and the noun named last: what follows may speak of it ("left of the man in blue")."""
        place = self._rng.random() < PLACE
        parts = self._draw(patterns().place if place else patterns().looks)
        noun = tree.root if place or self._rng.random() < OF_THE_FIRST else last
        joined = _joined(tree, self._fill(parts))
        for index in range(len(tree), len(joined)):
            if joined.heads[index] == index:
                joined.hang(index, noun)
        # In "behind a man in red, walking" the man may walk, in "a man in a suit walking" the suit does not.
        names_another = place and parts[-1].words[0] in SLOTS
        return joined, len(joined) - 1 if names_another else noun


def _joined(first: Tree, second: Tree) -> Tree:
    heads = [*first.heads, *(head + len(first) for head in second.heads)]
    spaces = [*first.spaces[:-1], *([second.words[0] != ","] if first.words else []), *second.spaces]
    return Tree(first.words + second.words, first.tags + second.tags, heads, first.deps + second.deps, spaces)


def _short_phrases(tree: Tree) -> list[Tree]:
    """ "the old dog", "dog": a common noun with what stands before it."""
    found = []
    for noun in range(len(tree)):
        if tree.tags[noun] not in NOUN_TAGS or tree.deps[noun] == "compound":
            continue
        before = [index for index in tree.subtree(noun) if index < noun]
        words = [*before, noun]
        solid = words == list(range(words[0], noun + 1)) and len(words) <= LONGEST_PHRASE
        plain = all(
            tree.heads[index] == noun
            and (tree.words[index] in ARTICLES or tree.tags[index] in MODIFIER_TAGS)
            and tree.words[index].isalpha()
            for index in before
        )
        if solid and plain and len(tree.words[noun]) > 1 and tree.words[noun].isalpha() and tree.words[noun].islower():
            phrase = tree.cut(words, noun)
            phrase.words = [word.lower() for word in phrase.words]
            phrase.spaces = [True] * len(phrase)
            found.append(phrase)
    return found


@cache
def patterns() -> Patterns:
    """The patterns of `positions.yaml`."""
    text = files("referent.parsing.treebank").joinpath("positions.yaml").read_text(encoding="utf-8")
    lists = yaml.safe_load(text)
    weighted = {
        name: [(_parts(line), float(weight)) for line, weight in lists[name].items()]
        for name in ("before", "place", "looks", "whole")
    }
    return Patterns(**weighted, colours=lists["colours"])


def _parts(line: str) -> list[Part]:
    """The parts of a pattern such as "on/IN:prep left/NN<0:pobj"."""
    parts = []
    for each in line.split():
        rest, _, dep = each.rpartition(":")
        rest, _, head = rest.partition("<")
        word, _, tag = rest.partition("/")
        parts.append(Part(tuple(word.split("|")), tag, int(head) if head else None, dep))
    return parts
