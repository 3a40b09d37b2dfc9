"""Why a grounding system answers as it does: its tree, and the probabilities after each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from referent.grounding.segmenter import GroundingLook, share
from referent.models.reclip.resolver import Resolution, Step
from referent.models.reclip.tree import Entity
from referent.parsing.types import Parse

SHOWN = 8
"""Proposals that are told of one by one."""


@dataclass(frozen=True)
class Explanation:
    """One expression about one picture.

    Attributes:
        expression: lower-cased.
        model: name, mode, parser and source of proposals.
        resolution: the answer and how it came about.
        tree: the semantic tree in lines, indented.
        boxes: (n, 4) x, y, width, height of all proposals.
        shown: of the proposals those worth showing, in the order of the boxes.
    """

    expression: str
    model: str
    resolution: Resolution
    tree: tuple[str, ...]
    boxes: NDArray[np.float64]
    shown: tuple[int, ...]

    @property
    def rows(self) -> list[tuple[str, NDArray[np.floating]]]:
        """(what was done, (n,) probabilities after it), the last of them the answer."""
        steps = [(_told(step), step.probabilities) for step in self.resolution.steps]
        return [*steps, ("answer", self.resolution.probabilities)]

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`; NaN as null."""
        return {
            "expression": self.expression,
            "model": self.model,
            "best": self.resolution.best,
            "score": share(self.resolution.probabilities, self.resolution.best),
            "boxes": self.boxes.tolist(),
            "tree": list(self.tree),
            "tree_used": self.resolution.used,
            "queries": list(self.resolution.queries),
            "steps": [
                {"step": told, "probabilities": [None if np.isnan(each) else float(each) for each in probabilities]}
                for told, probabilities in self.rows
            ],
        }


def explain(look: GroundingLook, expression: str, parse: Parse | None, model: str) -> Explanation:
    """The explanation of the first picture of a look.

    Args:
        look: the picture, encoded.
        expression: lower-cased.
        parse: of the expression; None for a method that reads none.
        model: what to call the system.
    """
    resolution = look.resolve(0, expression, parse)
    entity = resolution.tree.root if resolution.tree else None
    tree = tuple(_lines(parse, entity, 0)) if parse and entity else ()
    return Explanation(expression, model, resolution, tree, look.proposals[0].boxes, _worth_showing(resolution))


def _worth_showing(resolution: Resolution) -> tuple[int, ...]:
    """The answer, and those that stood highest after any step."""
    places = [np.argsort(np.argsort(-np.nan_to_num(step.probabilities), kind="stable")) for step in resolution.steps]
    best_place = np.min(places, axis=0)
    best_place[resolution.best] = -1
    return tuple(sorted(np.argsort(best_place, kind="stable")[:SHOWN].tolist()))


def _lines(parse: Parse, entity: Entity, depth: int) -> Iterator[str]:
    """An entity, what singles it out, and what it is related to, two spaces deeper."""
    indent = "  " * depth
    yield f"{indent}{parse.chunk_text(entity.chunk)}"
    for superlative in entity.superlatives:
        yield f"{indent}  superlative {superlative.kind} ({_words(parse, superlative.tokens)})"
    for relation in entity.relations:
        words = _words(parse, relation.tokens)
        if relation.kind is None:
            yield f"{indent}  only words ({words}) {parse.chunk_text(relation.child.chunk)}"
        else:
            yield f"{indent}  relation {relation.kind} ({words}) to"
            yield from _lines(parse, relation.child, depth + 2)


def _words(parse: Parse, tokens: tuple[int, ...]) -> str:
    return " ".join(parse.tokens[index].text for index in tokens)


def _told(step: Step) -> str:
    kind = f" {step.kind}" if step.kind else ""
    skipped = f": left out, {step.skipped}" if step.skipped else ""
    return f"{'  ' * step.depth}{step.what}{kind} ({step.text}){skipped}"
