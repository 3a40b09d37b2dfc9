"""What a few-shot training draws from: pictures, each asked by examples of what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from referent.data.few_shot.class_set import ClassSet, ShownExample
from referent.data.sample import Sample
from referent.reference import Reference


@dataclass(frozen=True)
class Draw:
    """How an item of a training draws its questions.

    Attributes:
        asked: questions about one picture; classes are drawn again where it shows fewer.
        shots: fewest and most examples of a question, drawn evenly; as many as there are where a class has fewer.
        said: share of the questions that say the class's name beside the examples.
        absent: share of the questions by examples of a class of which the picture shows nothing.
    """

    asked: int = 1
    shots: tuple[int, int] = (1, 1)
    said: float = 0.0
    absent: float = 0.0


@dataclass(frozen=True)
class PictureItem:
    """What a batch counts: one picture.

    Attributes:
        queries: one sample of it for each class that it shows.
        classes: all samples by class; examples are other pictures of the same class.
        how: questions are drawn.
    """

    queries: Sequence[Sample]
    classes: Mapping[str, Sequence[Sample]]
    how: Draw

    @property
    def cost(self) -> float:
        """Pixels of the picture, and of an example for each question taken to be as large."""
        height, width = self.queries[0].size
        return float(height * width * (1 + self.how.asked * sum(self.how.shots) / 2))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.queries[0].size

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`how.asked` samples of this picture, their references examples drawn anew, about different classes where
        there are enough."""
        order: list[int] = []
        while len(order) < self.how.asked:
            order += generator.permutation(len(self.queries)).tolist()
        return [self._asked(self.queries[index], generator) for index in order[: self.how.asked]]

    def _asked(self, query: Sample, generator: np.random.Generator) -> Sample:
        if self.how.absent and generator.random() < self.how.absent:
            query = self._absent(generator) or query
        members = self.classes[query.tags["name"]]
        low, high = self.how.shots
        count = min(int(generator.integers(low, high + 1)), len(members) - 1)
        # One more than needed, in case the query itself is among them.
        rows = generator.choice(len(members), size=count + 1, replace=False).tolist()
        others = [members[row] for row in rows if members[row].picture != query.picture][:count]
        phrase = query.reference.phrase if generator.random() < self.how.said else None
        return replace(query, reference=Reference(phrase, tuple(map(ShownExample, others))))

    def _absent(self, generator: np.random.Generator) -> Sample | None:
        """This picture asked for a class that it does not show; None where it shows all."""
        here = {query.tags["name"] for query in self.queries}
        others = [name for name in self.classes if name not in here]
        if not others:
            return None
        name = others[int(generator.integers(len(others)))]
        picture = self.queries[0]
        return replace(
            picture,
            id=f"{picture.id} without {name}",
            reference=Reference.of(name),
            targets=(),
            tags={"kind": "none", "name": name},
        )


def episode_items(classes: ClassSet, how: Draw) -> list[PictureItem]:
    """The items of a training; a class of one picture is left out, as there is no example of it.

    Args:
        classes: to draw from.
        how: questions are drawn.

    Raises:
        DataError: no class has two pictures.
    """
    usable = classes.with_pictures(2).classes
    queries: dict[Path, list[Sample]] = {}
    for samples in usable.values():
        for sample in samples:
            queries.setdefault(sample.picture, []).append(sample)
    return [PictureItem(tuple(own), usable, how) for own in queries.values()]
