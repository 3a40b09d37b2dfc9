"""What the user points with: a phrase, one or more examples, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from referent.errors import BadReferenceError

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from referent.rle import RLE

    PictureSource: TypeAlias = str | Path | bytes | Image.Image | np.ndarray[Any, Any]

MAX_PHRASE_CHARACTERS = 1000


@dataclass(frozen=True)
class Phrase:
    """A phrase that points at something: "the woman with the red bag".

    Args:
        text: the words; leading and trailing white space is removed.

    Raises:
        BadReferenceError: not a string, blank, longer than 1000 characters, or bytes that are no UTF-8. (A phrase
            longer than a model's token window is cut there, as the published systems do, and the answer says so.)
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise BadReferenceError(f"phrase: expected text, found {type(self.text).__name__}")
        text = self.text.strip()
        if not any(character.isprintable() and not character.isspace() for character in text):
            raise BadReferenceError(f"phrase: expected words, found {self.text!r} (blank)")
        if len(text) > MAX_PHRASE_CHARACTERS:
            raise BadReferenceError(
                f"phrase: expected at most {MAX_PHRASE_CHARACTERS} characters, found {len(text)}: {text[:40]!r}..."
            )
        # What a terminal of another encoding hands over: it could be neither printed nor written to a file.
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise BadReferenceError(f"phrase: expected UTF-8, found {text[:40]!r}")
        object.__setattr__(self, "text", text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Example:
    """Another picture with a mask on it: "this, but over there".

    Args:
        picture: path, bytes, PIL image or (H, W, 3) uint8 array.
        mask: path, PIL image or (H, W) array of the same height and width; exactly two values, the larger is the
            target. Or COCO's RLE, {"size": [H, W], "counts": ...}, compressed (text or bytes) or a list of run lengths.
    """

    picture: PictureSource
    mask: PictureSource | RLE

    def __str__(self) -> str:
        name = self.picture if isinstance(self.picture, (str, Path)) else "a picture"
        return f"example {name}"


@dataclass(frozen=True, eq=False)
class Reference:
    """One thing to find: a phrase, k examples (k-shot), or a phrase with examples.

    Args:
        phrase: text becomes a `Phrase`.
        examples: a single one, or a list of them, becomes a tuple.

    Raises:
        BadReferenceError: neither a phrase nor an example, something else in their place, or a phrase that cannot be
            used.
    """

    phrase: Phrase | None = None
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "phrase", _phrase_of(self.phrase))
        object.__setattr__(self, "examples", _examples_of(self.examples))
        if self.phrase is None and not self.examples:
            raise BadReferenceError("reference: expected a phrase, an example, or both, found neither")

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of pointing this reference uses: a subset of {"phrase", "example"}."""
        return frozenset((["phrase"] if self.phrase else []) + (["example"] if self.examples else []))

    def __str__(self) -> str:
        parts = [str(self.phrase)] if self.phrase else []
        return " + ".join(parts + [str(example) for example in self.examples])

    @classmethod
    def of(cls, value: ReferenceLike) -> Reference:
        """A reference from what users write: text, `Phrase`, `Example`, a list of examples (k-shot), `Reference`."""
        match value:
            case Reference():
                return value
            case str():
                return cls(phrase=Phrase(value))
            case Phrase():
                return cls(phrase=value)
            case Example():
                return cls(examples=(value,))
            case list() | tuple() if value and all(isinstance(item, Example) for item in value):
                return cls(examples=tuple(value))
        raise BadReferenceError(
            f"reference: expected text, Phrase, Example, a list of Example, or Reference, found {type(value).__name__}"
        )


def _phrase_of(value: object) -> Phrase | None:
    if isinstance(value, str):
        return Phrase(value)
    if value is None or isinstance(value, Phrase):
        return value
    raise BadReferenceError(f"reference: expected text or Phrase for its phrase, found {type(value).__name__}")


def _examples_of(value: object) -> tuple[Example, ...]:
    items = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for item in items:
        if not isinstance(item, Example):
            raise BadReferenceError(f"reference: expected Example for its examples, found {type(item).__name__}")
    return items


ReferenceLike: TypeAlias = str | Phrase | Example | Reference | Sequence[Example]
