"""What a video is to everybody else: frames, one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from PIL import Image

_DIGITS = 5
"""Of an index in a name, as DAVIS has it."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        index: 0 for the first one that was read.
        seconds: when it is shown, from the beginning of the video.
        picture: RGB, upright.
        name: by which its files are called: of the picture it was read from, else its index.
    """

    index: int
    seconds: float
    picture: Image.Image
    name: str


class Video(ABC):
    """Frames in their order, read one by one as they are asked for; nothing is kept.

    Attributes:
        name: for messages.
        count: how many frames there are, as far as is known before reading them; None where nobody knows.
        rate: frames a second, on average where they are not evenly spaced.
    """

    name: str
    count: int | None
    rate: Fraction

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """From the first frame on.

        Raises:
            VideoError: there is no frame, or what there is is damaged or cut off; in the end, after all good frames.
            PictureError: a frame that is a picture cannot be used.
        """


def numbered(index: int) -> str:
    """The name of a frame that has no other: "00012"."""
    return f"{index:0{_DIGITS}d}"
