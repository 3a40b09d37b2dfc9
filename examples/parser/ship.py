"""From a training's pipeline to the one in the package: ship.py TRAINED OUT.

Adds parts of speech by rule (they follow from tag and label), and leaves out the words of the treebank, which the
pipeline never looks up.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import spacy
from spacy.util import load_model_from_config

META = {
    "name": "referent_pocket",
    "version": "1.0.0",
    "description": "Tags and dependency trees of English phrases, in the scheme of spaCy's English pipelines",
    "author": "The referent authors; Universal Dependencies English Web Treebank (Silveira et al., LREC 2014)",
    "license": "CC BY-SA 4.0",
}
# Universal part of speech of each Penn tag, as spaCy's English pipelines and UD have it.
PARTS_OF_SPEECH = {
    "ADJ": "AFX JJ JJR JJS",
    "ADP": "IN RP",
    "ADV": "RB RBR RBS WRB",
    "AUX": "MD",
    "CCONJ": "CC",
    "DET": "DT PDT WDT",
    "INTJ": "UH",
    "NOUN": "NN NNS",
    "NUM": "CD",
    "PART": "POS TO",
    "PRON": "EX PRP PRP$ WP WP$",
    "PROPN": "NNP NNPS",
    "PUNCT": ". , : -LRB- -RRB- `` '' HYPH NFP",
    "SYM": "$ SYM",
    "VERB": "VB VBD VBG VBN VBP VBZ",
    "X": "ADD FW GW LS XX",
}
NOMINAL = ["nsubj", "nsubjpass", "dobj", "pobj", "dative", "attr", "appos", "conj", "ROOT"]
BE = ["be", "is", "are", "was", "were", "been", "being", "am", "'s", "'re", "'m"]


def main() -> None:
    """Make, and say how large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    trained = spacy.load(options.trained)
    ruler = trained.add_pipe("attribute_ruler")
    ruler.add_patterns(rules())
    shipped = load_model_from_config(trained.config)
    shipped.from_bytes(trained.to_bytes(exclude=["vocab"]), exclude=["vocab"])
    for component in ("tagger", "parser"):
        for label in shipped.get_pipe(component).labels:
            shipped.vocab.strings.add(label)
    shipped.meta.update(META)
    shutil.rmtree(options.out, ignore_errors=True)
    shipped.to_disk(options.out)
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")


def rules() -> list[dict[str, Any]]:
    """Patterns for spaCy's attribute ruler; a later one overrules an earlier one."""
    plain = [([{"TAG": tag}], pos) for pos, tags in PARTS_OF_SPEECH.items() for tag in tags.split()]
    exceptions = [
        ([{"TAG": {"REGEX": "^VB"}, "LOWER": {"IN": BE}}], "AUX"),
        ([{"TAG": {"REGEX": "^VB"}, "DEP": {"IN": ["aux", "auxpass"]}}], "AUX"),
        ([{"TAG": "IN", "DEP": "mark"}], "SCONJ"),
        ([{"TAG": "RB", "DEP": "neg"}], "PART"),
        ([{"TAG": "DT", "LOWER": {"IN": ["this", "that", "these", "those"]}, "DEP": {"IN": NOMINAL}}], "PRON"),
        ([{"TAG": "WDT", "DEP": {"NOT_IN": ["det"]}}], "PRON"),
    ]
    return [{"patterns": [pattern], "attrs": {"POS": pos}} for pattern, pos in [*plain, *exceptions]]


if __name__ == "__main__":
    main()
