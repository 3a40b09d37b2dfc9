"""How objects are followed: the rules of the official UniRef++ for each data set, and this project's own.

The released code follows masks (VOS) in one way with a threshold for each data set, and phrases (RVOS) in two: with
memory on Ref-YouTube-VOS, frame by frame on Ref-DAVIS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from referent.errors import ReferentError
from referent.preparation import Preparation

SHORTEST, LONGEST = 480, 1333
"""Sides of the frames, in pixels, in all official procedures on videos."""


@dataclass(frozen=True)
class Procedure:
    """The rules for one data set.

    Attributes:
        name: "davis-2017", ...
        threshold: an object whose score is not greater is not there; None where every object always is.
        remembers: later frames are asked with the object's first mask and the one before, its own answers included;
            off, every frame is asked with what the user gave alone.
        rivals: a pixel belongs to one object at most: the one most probable, or none where the product of all objects'
            improbabilities is greater; off, to every object that is more probable than not.
        full_resolution: see `Batch.full_resolution`.
        shortest, longest: sides of the frames as the model sees them, in pixels, where it takes pictures of any size; a
            model whose pictures or frames are smaller keeps to those.
    """

    name: str
    threshold: float | None
    remembers: bool
    rivals: bool
    full_resolution: bool
    shortest: int = SHORTEST
    longest: int = LONGEST

    def judged(self, presence_threshold: float) -> Procedure:
        """For weights that have found something from `presence_threshold` on; the released rules are as they are."""
        if self != OWN or self.threshold is None:
            return self
        return replace(self, threshold=min(self.threshold, presence_threshold))

    def fitted(self, preparation: Preparation) -> Preparation:
        """Of frames, for a model whose pictures are prepared by `preparation`."""
        if preparation.longest is None:
            return preparation
        size, longest = preparation.frames or (preparation.size, preparation.longest)
        return preparation.fitted_to(min(size, self.shortest), min(longest, self.longest))


def _of_masks(name: str, threshold: float) -> Procedure:
    return Procedure(name, threshold, remembers=True, rivals=True, full_resolution=True)


OWN = Procedure("referent", 0.3, remembers=True, rivals=True, full_resolution=True)
"""For users' videos: objects of all kinds together, by the rules for masks. Weights may be sure at a lower score."""

PROCEDURES: Mapping[str, Procedure] = {
    procedure.name: procedure
    for procedure in (
        OWN,
        _of_masks("davis-2017", 0.3),
        _of_masks("youtube-vos", 0.4),
        _of_masks("mose", 0.4),
        _of_masks("lvos", 0.5),
        Procedure("ref-youtube-vos", 0.3, remembers=True, rivals=False, full_resolution=False),
        Procedure("ref-davis", None, remembers=False, rivals=True, full_resolution=False),
    )
}


def procedure_of(value: str | Procedure | None) -> Procedure:
    """A procedure by name; `OWN` for None.

    Raises:
        ReferentError: no such procedure.
    """
    if isinstance(value, Procedure):
        return value
    found = PROCEDURES.get(value or OWN.name)
    if found is None:
        raise ReferentError(f"procedure: expected one of {', '.join(PROCEDURES)}, found {value}")
    return found
