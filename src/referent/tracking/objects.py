"""Which objects are followed: their names in order, and what the user said each is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from referent.errors import BadReferenceError
from referent.reference import Reference
from referent.segmentation import Segmentation

Name: TypeAlias = str | int
"""What the user calls an object. (Arguments are mappings of `Any`, as one of `Name` would take no `dict[str, ...]`.)"""

ONE = "object"
"""Name of the only object, where it was given no other."""
MOST = 254
"""So many objects a palette picture holds: beside them 0, nothing, and 255, which in DAVIS does not count."""


@dataclass
class Objects:
    """The objects of one video. An object whose mask is still to come has no reference yet.

    Attributes:
        references: by name, in the order in which objects became known.
    """

    references: dict[Name, Reference | None] = field(default_factory=dict)

    def add(self, name: Name, reference: Reference | None) -> None:
        """One more object.

        Raises:
            BadReferenceError: of that name there is one, or there are `MOST` already.
        """
        if name in self.references:
            raise BadReferenceError(f"object {name!r}: there is one of this name already")
        if len(self.references) >= MOST:
            raise BadReferenceError(f"object {name!r}: a video holds at most {MOST} objects, as a palette picture does")
        self.references[name] = reference

    def __iter__(self) -> Iterator[Name]:
        return iter(self.references)

    def __contains__(self, name: object) -> bool:
        return name in self.references


def labels_of(
    answers: Mapping[Name, Segmentation], numbers: Mapping[Any, int], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """One picture of all objects: 0 where none is, else the object's number; where masks overlap, the most probable's.

    Args:
        answers: to one frame; what was not found is left out.
        numbers: of the objects, 1 to `MOST`.
        size: (height, width) of the frame.

    Returns:
        (height, width) uint8.
    """
    labels = np.zeros(size, dtype=np.uint8)
    best = np.zeros(size, dtype=np.float32)
    for name, answer in answers.items():
        if answer.found:
            wins = answer.mask & (answer.probability > best)
            labels[wins] = numbers[name]
            best[wins] = answer.probability[wins]
    return labels
