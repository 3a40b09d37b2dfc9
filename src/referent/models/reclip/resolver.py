"""From a semantic tree to one probability a proposal (section 3.3.2 of the paper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from referent.errors import DataError
from referent.models.reclip.geometry import Boxes, Layout, areas
from referent.models.reclip.settings import ResolverSettings
from referent.models.reclip.tree import Entity, Relation, Superlative, Tree, read_tree
from referent.models.reclip.wording import Wording
from referent.parsing.types import Parse

Scores = NDArray[np.floating]
Probabilities = NDArray[np.floating]
Scorer = Callable[[str], Scores]
"""From a text to (n,) scores of the proposals, higher is better; ReCLIP's are summed CLIP logits."""


@dataclass(frozen=True)
class Step:
    """One step of the recursion.

    Attributes:
        depth: 0 for the whole expression and for the root entity, 1 for what it is related to, and so on.
        what: "expression", "entity", "relation" or "superlative".
        text: that was scored, or the words of the relation or superlative.
        kind: of the relation or superlative.
        probabilities: (n,) after the step.
        skipped: why it changed nothing.
    """

    depth: int
    what: str
    text: str
    kind: str | None
    probabilities: Probabilities
    skipped: str | None = None


@dataclass(frozen=True)
class Resolution:
    """The answer to one expression.

    Attributes:
        probabilities: (n,), not normalised where the tree was used: the product of two distributions. NaN where a
            resolver without mends contradicted itself.
        best: index of the most probable proposal, the first of equals; 0 for NaN.
        expression: (n,) distribution of the whole expression alone.
        mode: of the resolver; "ips" where there was none.
        tree: what was understood; None without a resolver.
        used: whether the tree took part.
        queries: the texts that were scored, in order.
        steps: of the recursion, in order.
    """

    probabilities: Probabilities
    best: int
    expression: Probabilities
    mode: str
    tree: Tree | None = None
    used: bool = False
    queries: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=(), repr=False)


class Resolver:
    """Answers any number of expressions about the proposals of one picture.

    Args:
        boxes: (n, 4), n at least 1.
        size: (height, width) of the picture.
        settings: how to read expressions.
    """

    def __init__(self, boxes: Boxes, size: tuple[int, int], settings: ResolverSettings) -> None:
        self.boxes, self.settings = boxes, settings
        self.layout = Layout(boxes, settings.empty_boxes)
        shares = areas(boxes) / (size[0] * size[1])
        self.anything, self.large = _candidates(shares, 0.0), _candidates(shares, settings.area_threshold)

    def score_alone(self, expression: str, scorer: Scorer) -> Resolution:
        """Scores alone, nothing resolved: one query."""
        found = softmax(scorer(expression), self.large)
        step = Step(0, "expression", expression, None, found)
        return Resolution(found, int(np.argmax(found)), found, "ips", None, False, (expression,), (step,))

    def score_with_head(self, parse: Parse, scorer: Scorer) -> Resolution:
        """The expression's distribution times that of its head noun phrase: the official `baseline_head`."""
        alone = self.score_alone(parse.text, scorer)
        chunk = parse.chunk_of[parse.root] or (parse.chunks[0] if parse.chunks else None)
        text = parse.chunk_text(chunk) if chunk else parse.text
        head = softmax(scorer(text), self.large)
        product = alone.expression * head
        steps = (*alone.steps, Step(0, "entity", text, None, head))
        best = int(np.argmax(product))
        return Resolution(product, best, alone.expression, "ips, head", None, False, (parse.text, text), steps)

    def resolve(self, parse: Parse, scorer: Scorer) -> Resolution:
        """ReCLIP: the whole expression's distribution times that of the root entity.

        Args:
            parse: of the lower-cased expression.
            scorer: asked for every text that the recursion needs.

        Raises:
            DataError: "inside" among proposals one of which has no area (without the mend `empty_boxes`), or an
                expression nested hundreds of levels deep.
        """
        run = _Run(self, parse, scorer)
        try:
            tree = read_tree(parse, self.settings.keywords, self.settings.superlative_in_noun_phrase)
            return run.resolution(tree)
        except RecursionError:
            raise DataError(f"expression of {len(parse.tokens)} words: nested too deeply: {parse.text:.60}") from None


class _Run:
    def __init__(self, resolver: Resolver, parse: Parse, scorer: Scorer) -> None:
        self.resolver, self.settings, self.scorer = resolver, resolver.settings, scorer
        self.parse = parse
        self.wording = Wording(parse, resolver.settings)
        self.queries: list[str] = []
        self.steps: list[Step] = []
        self._scored: dict[str, Scores] = {}

    def resolution(self, tree: Tree) -> Resolution:
        expression = softmax(self._scores(self.parse.text), self.resolver.large)
        self.steps.append(Step(0, "expression", self.parse.text, None, expression))
        probabilities: Probabilities = expression
        used = tree.root is not None and (tree.open or not self.settings.gate)
        if used:
            assert tree.root is not None
            probabilities = expression * self._entity(tree.root, 0)
        return Resolution(
            probabilities,
            int(np.argmax(probabilities)),
            expression,
            self.settings.mode,
            tree,
            used,
            tuple(self.queries),
            tuple(self.steps),
        )

    def _entity(self, entity: Entity, depth: int) -> Probabilities:
        if len(self.resolver.boxes) == 1:
            return np.ones(1)
        related: list[tuple[Relation, Probabilities]] = []
        spoken = 0
        for relation in entity.relations:
            if relation.kind is not None:
                child = self._entity(relation.child, depth + 1)
                related.append((relation, self.resolver.layout.relation(relation.kind) @ child))
            elif self.settings.possessives != "skip":
                spoken += 1
                if not self.settings.ask_once:
                    self._scores(self.wording.text(entity, spoken))
        text = self.wording.text(entity, spoken)
        candidates = self.resolver.anything if depth else self.resolver.large
        p = self._distribution(self._scores(text), candidates)
        self.steps.append(Step(depth, "entity", text, None, p))
        for relation, factor in related:
            p = self._updated(p, factor, depth, relation)
        return self._with_superlatives(p, entity, depth)

    def _with_superlatives(self, p: Probabilities, entity: Entity, depth: int) -> Probabilities:
        undecided = self._undecided(p)
        for superlative in entity.superlatives:
            if self.settings.test_every_superlative:
                undecided = self._undecided(p)
            if undecided:
                p = self._updated(p, self.resolver.layout.relation(superlative.kind) @ p, depth, superlative)
            else:
                words = self.wording.words(superlative.tokens)
                self.steps.append(Step(depth, "superlative", words, superlative.kind, p, "one proposal stands out"))
        return p

    def _updated(
        self, p: Probabilities, factor: Probabilities, depth: int, why: Relation | Superlative
    ) -> Probabilities:
        """p times the factor, normalised: NaN where nothing is left, unless that is mended."""
        product = p * factor
        total = product.sum()
        skipped = None
        if total == 0 and self.settings.keep_distribution:
            skipped = "no proposal would be left"
        else:
            with np.errstate(invalid="ignore"):
                p = product / total
        what = "relation" if isinstance(why, Relation) else "superlative"
        self.steps.append(Step(depth, what, self.wording.words(why.tokens), why.kind, p, skipped))
        return p

    def _undecided(self, p: Probabilities) -> bool:
        """Whether the two best are near enough for a superlative to choose. A second of exactly 0 never is, however
        large the threshold (in the official code because infinity times zero is not a number)."""
        second, first = np.sort(p)[-2:]
        return bool(second > 0 and first < self.settings.superlative_threshold * second)

    def _distribution(self, scores: Scores, candidates: NDArray[np.bool_]) -> Probabilities:
        if self.settings.temperature is None:
            return softmax(scores, candidates)
        return _sigmoid(scores, candidates, self.settings.temperature)

    def _scores(self, text: str) -> Scores:
        if self.settings.ask_once and text in self._scored:
            return self._scored[text]
        self.queries.append(text)
        self._scored[text] = self.scorer(text)
        return self._scored[text]


def softmax(scores: Scores, candidates: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n,) float32 that sum to 1 over the candidates; exactly 0 for the others.

    Args:
        scores: (n,).
        candidates: (n,) bool, at least one.
    """
    result = np.zeros(len(scores), dtype=np.float32)
    chosen = scores[candidates].astype(np.float32)
    powers = np.exp(chosen - chosen.max())
    result[candidates] = powers / powers.sum()
    return result


def _sigmoid(scores: Scores, candidates: NDArray[np.bool_], temperature: float) -> NDArray[np.float32]:
    """The official `sigmoid` option: standardised over the candidates (unbiased), then the sigmoid of each."""
    result = np.zeros(len(scores), dtype=np.float32)
    chosen = scores[candidates].astype(np.float32)
    spread = chosen.std(ddof=1) if len(chosen) > 1 else np.float32(np.nan)
    result[candidates] = 1 / (1 + np.exp(-temperature * (chosen - chosen.mean()) / (spread + 1e-9)))
    return result


def _candidates(shares: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Proposals whose share of the picture is above the threshold; all of them where none is."""
    above = shares > threshold
    return above if above.any() else np.ones_like(above)
