"""Any spaCy pipeline with English labels as a parser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from referent.errors import DataError
from referent.parsing.types import Parse, Token

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

# Labels that only a parser of spaCy's English scheme has; Universal Dependencies says "case" and "obl".
ENGLISH_LABELS = frozenset({"prep", "pobj"})
_INSTALL = "pip install 'referent[parse]'"


class SpacyParser:
    """A spaCy pipeline.

    Args:
        pipeline: a loaded one, with a dependency parser and parts of speech under spaCy's English labels.
        name: what to call it; by default its own name and versions.

    Raises:
        DataError: it has no parser, or one of another label scheme.
    """

    def __init__(self, pipeline: Language, name: str | None = None) -> None:
        from spacy.about import __version__ as version

        meta = pipeline.meta
        own = f"{meta['lang']}_{meta['name']} {meta['version']}, spaCy {version}"
        self.name: str = name or own
        if "parser" not in pipeline.pipe_names:
            parts = ", ".join(pipeline.pipe_names) or "nothing"
            raise DataError(f"{self.name}: expected a pipeline with a `parser`, found {parts}")
        labels = set(pipeline.pipe_labels["parser"])
        if labels and not labels >= ENGLISH_LABELS:
            raise DataError(
                f"{self.name}: expected a parser with spaCy's English labels (prep, pobj, ...), found "
                f"{', '.join(sorted(labels)[:8])}"
            )
        self._pipeline = pipeline

    def parse(self, texts: Sequence[str]) -> list[Parse]:
        """See `Parser.parse`.

        Raises:
            DataError: the pipeline sets no parts of speech, without which there are no noun chunks.
        """
        return [self._parse(doc) for doc in self._pipeline.pipe(texts)]

    def _parse(self, doc: Doc) -> Parse:
        if not (doc.has_annotation("DEP") and doc.has_annotation("POS")):
            missing = "POS" if doc.has_annotation("DEP") else "DEP"
            raise DataError(f"{self.name}: expected parts of speech and a dependency parse, found no {missing}")
        columns = ((word.text, word.pos_, word.dep_, word.head.i, word.idx, word.tag_) for word in doc)
        return Parse(doc.text, tuple(Token(*column) for column in columns))


def load_spacy(pipeline: str | Path) -> SpacyParser:
    """A pipeline by its package name ("en_core_web_sm") or folder.

    Raises:
        DataError: spaCy or the pipeline is not installed, or the pipeline does not fit; see `SpacyParser`.
    """
    try:
        import spacy
    except ImportError:
        raise DataError(f"{pipeline}: needs spaCy: {_INSTALL}") from None
    try:
        loaded = spacy.load(pipeline, exclude=["ner"])
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{pipeline}: expected the name of an installed spaCy pipeline or its folder: {reason}"
        ) from error
    return SpacyParser(loaded)
