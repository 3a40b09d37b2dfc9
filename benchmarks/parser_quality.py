"""A parser: tags, attachments, ReCLIP's official trees from raw text, and speed.

python benchmarks/parser_quality.py TREEBANK --training FILE [--parser PIPELINE] [--out benchmarks/results/parser.json]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import spacy
import torch
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from referent.evaluation.environment import machine, versions
from referent.files import atomic_write
from referent.models.reclip.settings import ResolverSettings
from referent.models.reclip.tree import Entity, read_tree
from referent.parsing.precomputed import parse_from_json
from referent.parsing.spacy_pipeline import SpacyParser
from referent.parsing.treebank.conllu import read_conllu
from referent.parsing.treebank.english import to_english_scheme
from referent.parsing.treebank.fragments import noun_phrases, without_punctuation
from referent.parsing.treebank.positions import PositionPhrases
from referent.parsing.treebank.tree import Tree
from referent.parsing.types import Parse

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "src" / "referent" / "pocket" / "parser"
OFFICIAL = ROOT / "tests" / "parity" / "reclip" / "reclip_trees.jsonl"
PHRASES = 2000


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("treebank", type=Path, help="folder with en_ewt-ud-test.conllu.gz")
    parser.add_argument("--training", type=Path, required=True, help="train.spacy, as prepare.py wrote it")
    parser.add_argument("--parser", default=str(SHIPPED), help="folder or name of a spaCy pipeline")
    parser.add_argument("--misses", action="store_true", help="print the texts whose tree is not the official one")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = spacy.load(options.parser)
    texts = test_texts(options.treebank / "en_ewt-ud-test.conllu.gz")
    result = {
        "parser": SpacyParser(pipeline).name,
        "megabytes": round(
            sum(file.stat().st_size for file in Path(options.parser).rglob("*") if file.is_file()) / 1e6, 1
        ),
        "test": {name: scores(pipeline, trees) for name, trees in texts.items()},
        "official_trees": official(SpacyParser(pipeline), training_texts(options.training), options.misses),
        "parses_a_minute": speed(SpacyParser(pipeline), [tree.text for tree in texts["noun_phrases"]]),
        "machine": machine(torch.device("cpu"), torch.float32),
        "versions": {**versions(), "spacy": spacy.__version__},
        "command": "python benchmarks/parser_quality.py TREEBANK --training TRAINING",
    }
    print(json.dumps(result, indent=1))
    if options.out:
        atomic_write(options.out, json.dumps(result, indent=1) + "\n")


def test_texts(path: Path) -> dict[str, list[Tree]]:
    """The treebank's test sentences, the same as people type them, and phrases made of them by the training's rules."""
    rng = random.Random("test")
    sentences = [to_english_scheme(tree) for tree in read_conllu(path)]
    phrases = [phrase for tree in sentences for phrase in noun_phrases(tree, rng) if len(phrase) > 1]
    positions = PositionPhrases(sentences, [], rng)
    return {
        "sentences": sentences,
        "plain_sentences": [without_punctuation(tree) for tree in sentences],
        "noun_phrases": rng.sample(phrases, min(PHRASES, len(phrases))),
        "position_phrases": [positions.phrase() for _ in range(PHRASES)],
    }


def scores(pipeline: Language, trees: Sequence[Tree]) -> dict[str, Any]:
    """Of parses of given words, in percent: right tags; heads, and heads with labels (no punctuation); whole trees."""
    examples = []
    for tree in trees:
        gold = Doc(pipeline.vocab, tree.words, tree.spaces, tags=tree.tags, heads=tree.heads, deps=tree.deps)
        examples.append(Example(pipeline(Doc(pipeline.vocab, tree.words, tree.spaces)), gold))
    tags = Scorer.score_token_attr(examples, "tag")
    arcs = Scorer.score_deps(examples, "dep", ignore_labels=("punct",))
    whole = sum(
        [token.head.i for token in example.predicted] == tree.heads
        for example, tree in zip(examples, trees, strict=True)
    )
    return {
        "texts": len(trees),
        "tags": round(100 * tags["tag_acc"], 1),
        "UAS": round(100 * arcs["dep_uas"], 1),
        "LAS": round(100 * arcs["dep_las"], 1),
        "trees": round(100 * whole / len(trees), 1),
    }


def training_texts(path: Path) -> set[str]:
    """What was trained on, lower-cased, with a space between words."""
    documents = DocBin().from_disk(path).get_docs(spacy.blank("en").vocab)
    return {" ".join(token.lower_ for token in document) for document in documents}


def official(parser: SpacyParser, trained: set[str], show_misses: bool) -> dict[str, Any]:
    """Percent of the oracle's texts whose parse leads to the official semantic tree of one of their listed parses.

    Texts with several plausible parses have several official trees: `any` takes each of them, `first` the first-listed
    alone, and so does `sure`, over the texts whose parse is listed as beyond doubt. `unseen` is
    `any` over the texts that do not happen to be among the training's phrases.
    """
    listed: dict[str, list[dict[str, Any]]] = {}
    for line in OFFICIAL.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        listed.setdefault(record["text"], []).append(record)
    hits: dict[str, list[bool]] = {"any": [], "first": [], "sure": [], "unseen": []}
    for text, parse in zip(listed, parser.parse(list(listed)), strict=True):
        found = semantic_tree(parse)
        trees = [semantic_tree(parse_from_json(record)) for record in listed[text]]
        hits["any"].append(found in trees)
        hits["first"].append(found == trees[0])
        if listed[text][0]["parse_confidence"] == "high":
            hits["sure"].append(found == trees[0])
        if " ".join(listed[text][0]["words"]).lower() not in trained:
            hits["unseen"].append(found in trees)
        if show_misses and found not in trees:
            print(text, found, trees[0], [(t.text, t.tag, t.head, t.dep) for t in parse.tokens], sep="\n  ")
    return {"texts": len(listed), "unseen_texts": len(hits["unseen"])} | {
        name: round(100 * statistics.mean(found), 1) for name, found in hits.items()
    }


def semantic_tree(parse: Parse) -> Any:
    """What the resolver in `compat` mode understands, by words and places, ready to be compared."""
    tree = read_tree(parse, ResolverSettings.compat().keywords)

    def listed(entity: Entity) -> Any:
        relations = [(each.kind, each.tokens, listed(each.child)) for each in entity.relations]
        return entity.chunk.start, entity.chunk.end, relations, [(e.kind, e.tokens) for e in entity.superlatives]

    return tree.root and listed(tree.root), tree.open


def speed(parser: SpacyParser, texts: list[str]) -> int:
    """Phrases a minute of one core's time (a busy machine takes longer by the clock): the best of three passes."""
    parser.parse(texts[:200])
    seconds = min(timed(parser.parse, texts) for _ in range(3))
    return round(60 * len(texts) / seconds)


def timed(parse: Callable[[Sequence[str]], Iterable[Parse]], texts: list[str]) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    parse(texts)
    return time.process_time() - start


if __name__ == "__main__":
    main()
