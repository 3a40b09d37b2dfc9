"""What the user wants followed: the options of `referent track`, as phrases and masks by object and frame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer

from referent.errors import BadReferenceError
from referent.files import expanded
from referent.reference import Phrase
from referent.tracking.objects import ONE

# Of pictures that lose nothing. A phrase never ends like this, and a mask always does.
SUFFIXES = ("png", "bmp", "gif", "tif", "tiff", "webp")
_MASK = re.compile(rf"(?P<path>.+\.({'|'.join(SUFFIXES)}))(@(?P<frame>\d+))?", re.IGNORECASE)
_ON_A_FRAME = re.compile(r".*@\d+", re.DOTALL)


@dataclass
class Wanted:
    """The objects of a run.

    Attributes:
        phrases: by object, in the order given; None for one that is shown only.
        masks: picture files by frame and object.
    """

    phrases: dict[str, str | None] = field(default_factory=dict)
    masks: dict[int, dict[str, Path]] = field(default_factory=dict)

    @property
    def first_masks(self) -> Iterator[tuple[str, int, Path]]:
        """Of each object that is shown: name, frame, and file of its first mask."""
        seen: set[str] = set()
        for frame, masks in sorted(self.masks.items()):
            for name, path in masks.items():
                if name not in seen:
                    seen.add(name)
                    yield name, frame, path

    def describe(self, name: str, phrase: str) -> None:
        """An object's phrase.

        Raises:
            BadReferenceError: it has another one, or the phrase cannot be used.
        """
        if self.phrases.get(name) is not None:
            raise BadReferenceError(f"{name}: expected one phrase, found {self.phrases[name]!r} and {phrase!r}")
        self.phrases[name] = Phrase(phrase).text

    def show(self, name: str, path: Path, frame: int) -> None:
        """An object's mask on a frame.

        Raises:
            BadReferenceError: it has another one there.
        """
        masks = self.masks.setdefault(frame, {})
        if name in masks:
            raise BadReferenceError(f"{name}: expected one mask on frame {frame}, found {masks[name]} and {path}")
        masks[name] = path
        self.phrases.setdefault(name, None)

    def as_json(self) -> dict[str, dict[str, object]]:
        """For the file that says what a run was asked."""
        shown: dict[str, dict[str, str]] = {name: {} for name in self.phrases}
        for frame, masks in sorted(self.masks.items()):
            for name, path in masks.items():
                shown[name][str(frame)] = str(path)
        return {name: {"phrase": phrase, "masks": shown[name]} for name, phrase in self.phrases.items()}


def wanted(phrases: Sequence[str], examples: Sequence[Path], frames: Sequence[int], objects: Sequence[str]) -> Wanted:
    """From the options.

    Several phrases are several objects, each called by its phrase; one phrase and masks, or masks alone, are one.

    Args:
        phrases: --phrase.
        examples: --example, masks on frames of the video.
        frames: --frame, of each example; frame 0 where there are none.
        objects: --object, each NAME=PHRASE, NAME=MASK or NAME=MASK@FRAME; one name may be given several times.

    Raises:
        BadParameter, BadReferenceError: they do not fit together, or there is none.
    """
    found = Wanted()
    if len(phrases) > 1 and examples:
        raise typer.BadParameter("with several phrases: expected --object NAME=MASK@FRAME", param_hint="--example")
    if frames and len(frames) != len(examples):
        raise typer.BadParameter(
            f"expected one for each --example, found {len(frames)} for {len(examples)}", param_hint="--frame"
        )
    for phrase in phrases:
        found.describe(phrase if len(phrases) > 1 else ONE, phrase)
    for path, frame in zip(examples, frames or [0] * len(examples), strict=True):
        found.show(ONE, path, frame)
    for item in objects:
        name, equals, value = item.partition("=")
        if not (name.strip() and equals and value.strip()):
            raise typer.BadParameter(f"expected NAME=PHRASE or NAME=MASK@FRAME, found {item!r}", param_hint="--object")
        mask = _MASK.fullmatch(value.strip())
        if mask is None:
            _check_phrase(value.strip(), item)
            found.describe(name.strip(), value)
        else:
            found.show(name.strip(), expanded(mask["path"]), int(mask["frame"] or 0))
    if not found.phrases:
        raise typer.BadParameter("expected something to follow: --phrase, --example or --object", param_hint="--phrase")
    return found


def _check_phrase(value: str, item: str) -> None:
    """Whether this may be meant as a phrase, and not as a mask of a kind that is not read here."""
    if _ON_A_FRAME.fullmatch(value):
        suffixes = ", ".join(f".{suffix}" for suffix in SUFFIXES)
        raise typer.BadParameter(f"expected a mask ({suffixes}) before @FRAME, found {item!r}", param_hint="--object")
