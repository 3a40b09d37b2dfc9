"""What is remembered of an object: its first reference and the previous one, however long the video."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

Features = tuple[Tensor, ...]
"""A picture with a mask, as `SegmentationModel.study` and `remember` encode it: tensors of one row each."""


@dataclass
class Memory:
    """One object's references.

    Attributes:
        first: with which it began: what the user gave, or its first answer that was not empty.
        previous: its last answer that was not empty, of another frame than `first`; None where there is none.
    """

    first: tuple[Features, ...] = ()
    previous: Features | None = None

    def begin(self, *first: Features) -> None:
        """The user has shown what it is; earlier answers count no more."""
        self.first, self.previous = first, None

    def see(self, features: Features) -> None:
        """An answer that was not empty."""
        if self.first:
            self.previous = features
        else:
            self.first = (features,)

    @property
    def references(self) -> tuple[Features, ...]:
        """All of it. (The official code has the first one twice as long as there is no other: the same answer.)"""
        return self.first if self.previous is None else (*self.first, self.previous)
