"""The parser inside the package: small, offline, trained on a treebank (card: `pocket/parser.md`)."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from referent.parsing.spacy_pipeline import SpacyParser, load_spacy


def pocket_parser() -> SpacyParser:
    """The parser that needs no download.

    Raises:
        DataError: spaCy is not installed.
    """
    return load_spacy(Path(str(resources.files("referent") / "pocket" / "parser")))
