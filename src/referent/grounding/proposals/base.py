"""What a source of proposals gives, checked against its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from referent.models.reclip.geometry import Boxes
from referent.rle import RLE

if TYPE_CHECKING:
    from PIL import Image

    from referent.reference import PictureSource


@dataclass(frozen=True)
class Candidate:
    """One thing that a source has found.

    Attributes:
        box: x, y, width, height in pixels.
        mask: at the picture's size, where the source has one.
    """

    box: tuple[float, float, float, float]
    mask: RLE | None = None


@dataclass(frozen=True, eq=False)
class Proposals:
    """The things in one picture, at least one.

    Attributes:
        boxes: (n, 4) x, y, width, height in pixels, none without area, each touching the picture.
        masks: n, at the picture's size, None where there is only a box.
        notes: what the user should know.
    """

    boxes: Boxes
    masks: tuple[RLE | None, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def of(cls, candidates: Sequence[Candidate], size: tuple[int, int]) -> Proposals:
        """The usable ones of what was found; the whole picture where nothing was, as in the official code.

        Args:
            candidates: in order.
            size: (height, width) of the picture.
        """
        usable = [candidate for candidate in candidates if _usable(candidate.box, size)]
        notes = []
        if lost := len(candidates) - len(usable):
            notes.append(f"{lost} of {len(candidates)} proposals left out: empty, or outside the picture")
        if not usable:
            notes.append("no proposals: the answer is the whole picture")
            usable = [Candidate((0.0, 0.0, float(size[1]), float(size[0])))]
        boxes = np.array([candidate.box for candidate in usable], dtype=np.float64)
        return cls(boxes, tuple(candidate.mask for candidate in usable), tuple(notes))


class ProposalSource(Protocol):
    """Finds things in pictures.

    Attributes:
        name: printed in results.
    """

    name: str

    def propose(self, picture: Image.Image, source: PictureSource) -> Proposals:
        """The things in a picture.

        Args:
            picture: RGB.
            source: what it was read from: sources that are files know pictures by name.

        Raises:
            DataError: the source does not know this picture.
        """


def _usable(box: tuple[float, float, float, float], size: tuple[int, int]) -> bool:
    x, y, width, height = box
    inside = x < size[1] and y < size[0] and x + width > 0 and y + height > 0
    return bool(np.isfinite(box).all()) and width > 0 and height > 0 and inside
