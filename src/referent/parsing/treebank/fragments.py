"""Phrases that look like what people type, cut from sentences: noun phrases, lower-cased, without punctuation.

A treebank's sentences are edited or at least punctuated; a referring expression is "man in dark suit" or "guy left".
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from referent.parsing.treebank.tree import Tree

NOUNS = frozenset({"NN", "NNS", "NNP", "NNPS"})
ARTICLES = frozenset({"a", "an", "the"})
LONGEST = 14
# The tail of a phrase that a short cut keeps: "the man [in the suit] who ...".
LONGEST_TAIL = 5


def without_punctuation(tree: Tree) -> Tree:
    """The tree lower-cased and without its marks; hyphens inside words stay. The root stays, even if it is a mark."""
    root = tree.root
    kept = [index for index in range(len(tree)) if tree.deps[index] != "punct" or tree.tags[index] == "HYPH"]
    return _lower(tree.cut(sorted({root, *kept}), root))


def noun_phrases(tree: Tree, rng: random.Random) -> Iterator[Tree]:
    """The noun phrases of a sentence as trees of their own: whole, and with a single modifier behind the noun.

    Args:
        tree: in the English scheme.
        rng: drops all articles of every second phrase ("man in suit").
    """
    for noun in range(len(tree)):
        if tree.tags[noun] not in NOUNS or tree.deps[noun] in ("compound", "dep"):
            continue
        whole = tree.subtree(noun)
        behind = [child for child in tree.children(noun) if child > noun and tree.deps[child] not in ("punct", "cc")]
        before = [index for index in whole if index <= noun]
        cuts = [whole] if len(behind) > 1 else []
        cuts += [before + tail for tail in (tree.subtree(child) for child in behind) if 0 < len(tail) <= LONGEST_TAIL]
        cuts += [] if behind else [before]
        for cut in cuts:
            if len(cut) <= LONGEST and _is_plain(tree, cut, noun):
                yield _telegraphic(tree.cut(cut, noun), rng)


def _is_plain(tree: Tree, cut: list[int], noun: int) -> bool:
    # What another clause tore apart, and conjuncts whose "and" was cut off, are no phrases.
    between = set(range(cut[0], cut[-1] + 1)) - set(cut)
    torn = any(tree.deps[index] != "punct" for index in between if index < noun)
    loose = any(tree.deps[index] == "conj" and tree.heads[index] == noun for index in cut) and not any(
        tree.deps[index] == "cc" for index in cut
    )
    return not torn and not loose


def _telegraphic(tree: Tree, rng: random.Random) -> Tree:
    plain = without_punctuation(tree)
    if rng.random() < 0.5:
        kept = [
            index
            for index in range(len(plain))
            if plain.words[index] not in ARTICLES or plain.deps[index] != "det" or index == plain.root
        ]
        plain = plain.cut(kept, plain.root)
    return plain


def _lower(tree: Tree) -> Tree:
    tree.words = [word.lower() for word in tree.words]
    return tree
