"""What a batch counts: one picture (or frame) with the references that a visit asks about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from referent.data.detection import AllObjects
from referent.data.sample import Sample
from referent.errors import RecipeError
from referent.reference import Example, Reference
from referent.rle import encode


class Item(Protocol):
    """Something that can be visited again and again."""

    @property
    def cost(self) -> float:
        """Pixels that a visit reads, which decide how long loading takes."""
        ...

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """The references of one visit, at least one, all about one picture."""
        ...


@runtime_checkable
class OfOnePicture(Protocol):
    """An item whose visits are all about pictures of one size."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        ...


def proportions(item: Item) -> float:
    """Height by width of the item's picture; 1 where it is not known before a visit."""
    height, width = item.size if isinstance(item, OfOnePicture) else (1, 1)
    return height / width


@dataclass(frozen=True)
class Phrases:
    """Samples that share one picture (and, with `group: target`, one target).

    Attributes:
        samples: at least one.
        phrases: how many of them a visit shows.
        present: how many of those are true of something, where as many are.
    """

    samples: tuple[Sample, ...]
    phrases: int
    present: int = 0

    @property
    def cost(self) -> float:
        """Pixels of the picture."""
        return _pixels(self.size)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.samples[0].size

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`phrases` samples: all different where there are enough, each at least once where there are not."""
        chosen: list[int] = []
        while len(chosen) < self.phrases:
            chosen += generator.permutation(len(self.samples)).tolist()
        if self.present:
            true = [index for index in dict.fromkeys(chosen) if self.samples[index].targets][: self.present]
            for index in true:
                chosen.remove(index)
            chosen = true + chosen
        return [self.samples[index] for index in chosen[: self.phrases]]


def gather(samples: Sequence[Sample], group: str, phrases: int, present: int = 0) -> list[Phrases]:
    """Samples grouped into items, in the order of each item's first sample.

    Args:
        samples: of one source.
        group: "target" puts together all phrases of the same masks in the same picture; "picture" all of a picture.
        phrases: samples a visit shows.
        present: how many of those are true of something, where as many are.

    Raises:
        RecipeError: a sample without a phrase.
    """
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        if sample.reference.phrase is None:
            raise RecipeError(f"sample {sample.id}: task phrases takes phrases, found an example")
        masks = sorted(target["counts"] for target in sample.targets) if group == "target" else []
        groups.setdefault((str(sample.picture), *masks), []).append(sample)
    return [Phrases(tuple(members), phrases, present) for members in groups.values()]


@dataclass(frozen=True)
class PseudoClip:
    """A picture as a video of two frames: its own mask shows what to find in another version of it.

    The augmentation makes the versions, each its own; without one both are the same picture.

    Attributes:
        samples: of one picture, each true of something.
        references: asked at a visit; all different where there are as many.
    """

    samples: tuple[Sample, ...]
    references: int = 1

    @property
    def cost(self) -> float:
        """Pixels of the picture and its versions."""
        return _pixels(self.size) * (1 + self.references)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.samples[0].size

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`references` samples whose references are examples."""
        order = generator.permutation(len(self.samples))
        chosen = [self.samples[order[number % len(order)]] for number in range(self.references)]
        return [replace(sample, reference=Reference(examples=(shown_by(sample),))) for sample in chosen]


@dataclass(frozen=True)
class ObjectClip:
    """`PseudoClip` of a picture of which all objects are known: each visit asks for some of them.

    Attributes:
        scene: the picture.
        references: asked at a visit; all different where there are as many.
    """

    scene: AllObjects
    references: int = 1

    @property
    def cost(self) -> float:
        """Pixels of the picture and its versions."""
        return self.scene.cost * (1 + self.references)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.scene.size

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`references` samples whose references are examples."""
        sample = self.scene.sample()
        order = generator.permutation(len(sample.targets))
        found = []
        for number in range(self.references):
            mask = sample.targets[int(order[number % len(order)])]
            reference = Reference(examples=(Example(sample.picture, mask),))
            found.append(replace(sample, reference=reference, targets=(mask,), boxes=(), labels=()))
        return found


def pseudo_clips(samples: Sequence[Sample], references: int) -> list[PseudoClip]:
    """Every picture of which some sample is true of something, in the order of the samples; a mask counts once.

    Raises:
        RecipeError: there is none.
    """
    pictures: dict[str, dict[str, Sample]] = {}
    for sample in samples:
        if sample.targets:
            masks = " ".join(sorted(target["counts"] for target in sample.targets))
            pictures.setdefault(str(sample.picture), {}).setdefault(masks, sample)
    if not pictures:
        raise RecipeError("task pseudo-clips: expected phrases that are true of something, found none")
    return [PseudoClip(tuple(members.values()), references) for members in pictures.values()]


def shown_by(sample: Sample) -> Example:
    """The sample's own picture and mask as an example."""
    return Example(sample.picture, sample.targets[0] if len(sample.targets) == 1 else encode(sample.mask()))


def _pixels(size: tuple[int, int]) -> float:
    height, width = size
    return float(height * width)
