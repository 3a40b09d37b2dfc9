"""One made picture with all that is known about it: what tests, docs and data sets are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
from numpy.typing import NDArray

from referent.data.scenes.meanings import Meanings
from referent.data.scenes.sampling import sample_scene
from referent.data.scenes.shading import paint
from referent.data.scenes.tracing import Trace, trace
from referent.data.scenes.wording import Said, say


@dataclass(frozen=True, eq=False)
class Example:
    """A scene, what the camera sees of it, and what is said of it.

    Attributes:
        index: its number in its set.
        seen: masks, and the scene itself.
        said: phrases with the indices of the things that they are true of.
    """

    index: int
    seen: Trace
    said: tuple[Said, ...]

    @cached_property
    def picture(self) -> NDArray[np.uint8]:
        """The picture (H, W, 3); painted when first asked for."""
        return paint(self.seen)

    @property
    def split(self) -> str:
        """Of ten in a row the ninth is in "val", the tenth in "test", the others in "train"."""
        return {8: "val", 9: "test"}.get(self.index % 10, "train")


def example(seed: int, index: int, size: tuple[int, int] = (256, 256)) -> Example:
    """A picture of `size` (height, width); `seed` and `index` decide it alone, however many are made beside it."""
    random = Random(f"scene {seed}/{index}")
    scene = sample_scene(random, size)
    return Example(index, trace(scene, size), tuple(say(Meanings(scene), random)))
