"""What the parser learns from, as spaCy's binary files: prepare.py DATA OUT.

DATA holds en_ewt-ud-{train,dev}.conllu.gz and lvis_v1_train_cat_info.json (names of things). OUT gets train.spacy and
dev.spacy.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin

from referent.parsing.treebank.conllu import read_conllu
from referent.parsing.treebank.english import to_english_scheme
from referent.parsing.treebank.fragments import noun_phrases, without_punctuation
from referent.parsing.treebank.positions import PositionPhrases
from referent.parsing.treebank.tree import Tree

# Relative to the number of sentences. Plain sentences keep the grammar, the rest is what people type.
PLAIN, NOUN_PHRASES, POSITIONS = 0.4, 1.0, 1.2
# Of the treebank's sentences for development: enough to choose the best step by.
DEVELOPMENT = 500


def main() -> None:
    """Make, and say how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--without", nargs="*", default=[], choices=["fragments", "positions"])
    options = parser.parse_args()
    names = names_of_things(options.data / "lvis_v1_train_cat_info.json")
    options.out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        rng = random.Random(split)
        sentences = [to_english_scheme(tree) for tree in read_conllu(options.data / f"en_ewt-ud-{split}.conllu.gz")]
        if split == "dev":
            sentences = rng.sample(sentences, min(DEVELOPMENT, len(sentences)))
        trees = [*sentences, *phrases(sentences, rng, names, options.without)]
        save(trees, options.out / f"{split}.spacy")
        print(f"{split}: {len(trees)} trees, {sum(map(len, trees))} words")


def phrases(sentences: list[Tree], rng: random.Random, names: list[str], without: list[str]) -> list[Tree]:
    """What people type, made from sentences."""
    found: list[Tree] = []
    if "fragments" not in without:
        found += [without_punctuation(tree) for tree in rng.sample(sentences, int(PLAIN * len(sentences)))]
        cut = [phrase for tree in sentences for phrase in noun_phrases(tree, rng)]
        weights = [1.0 if len(phrase) > 1 else 0.2 for phrase in cut]
        found += rng.choices(cut, weights, k=int(NOUN_PHRASES * len(sentences)))
    if "positions" not in without:
        positions = PositionPhrases(sentences, names, rng)
        found += [positions.phrase() for _ in range(int(POSITIONS * len(sentences)))]
    return found


def names_of_things(path: Path) -> list[str]:
    """Single words in the singular among LVIS's names and synonyms."""
    categories = json.loads(path.read_text(encoding="utf-8"))
    words = {name.lower() for category in categories for name in category["synonyms"] if name.isalpha()}
    return sorted(word for word in words if not word.endswith("s"))


def save(trees: list[Tree], path: Path) -> None:
    """Trees as annotated documents, one each."""
    vocab = spacy.blank("en").vocab
    documents = [
        Doc(vocab, words=tree.words, spaces=tree.spaces, tags=tree.tags, heads=tree.heads, deps=tree.deps)
        for tree in trees
    ]
    DocBin(attrs=["ORTH", "SPACY", "TAG", "HEAD", "DEP"], docs=documents).to_disk(path)


if __name__ == "__main__":
    main()
