"""Classes and the pictures that show them: what every few-shot data set becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from referent.data.sample import Sample
from referent.errors import DataError, listed
from referent.reference import Example, Reference
from referent.rle import RLE, Polygons, encode


@dataclass(frozen=True)
class ClassSet:
    """Classes with their pictures.

    Attributes:
        name: printed in results: the file's name behind its folder's.
        classes: by name, in the data's order; of each one sample a picture that shows it, in the data's order. A
            sample's reference is the class's name, its tag `name` too, and its targets (drawn when first read) are
            everything of the class in the picture.
        problems: what was left out because it is wrong.
        notes: what a reader of numbers should know, for example that the splits are not the official ones.
        whole: whether a class has few pictures and each is to be asked about, as in FSS-1000.
    """

    name: str
    classes: Mapping[str, Sequence[Sample]] = field(repr=False)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    whole: bool = False

    def with_pictures(self, count: int) -> ClassSet:
        """The same without the classes of fewer than `count` pictures; a note names some.

        Raises:
            DataError: nothing is left.
        """
        few = [name for name, samples in self.classes.items() if len(samples) < count]
        if not few:
            return self
        left = {name: samples for name, samples in self.classes.items() if len(samples) >= count}
        if not left:
            most = max(map(len, self.classes.values()), default=0)
            raise DataError(f"{self.name}: expected classes of at least {count} pictures, found at most {most}")
        note = f"left out, of fewer than {count} pictures: {listed(few)}"
        return replace(self, classes=left, notes=(*self.notes, note))


class Drawn:
    """A target that is read from its file when it is first asked for.

    Args:
        read: makes its mask; raises a `ReferentError` that names the file.
    """

    parts: Polygons = ()

    def __init__(self, read: Callable[[], RLE]) -> None:
        self._read = read

    @cached_property
    def rle(self) -> RLE:
        """Its mask; read once."""
        return self._read()


def class_sample(
    place: str,
    name: str,
    picture: Path,
    size: tuple[int, int],
    targets: Sequence[RLE],
    split: str,
    void: Sequence[RLE] = (),
) -> Sample:
    """One picture of the class `name`; `place` is its id, the same on every machine."""
    tags = {"kind": "name", "name": name}
    return Sample(place, picture, size, Reference.of(name), targets, split, tags, void=void)


class ShownExample(Example):
    """A sample's picture with the union of its targets as the mask, which is drawn when it is first asked for.

    It is called by the sample's id.
    """

    _sample: Sample

    def __init__(self, sample: Sample) -> None:
        object.__setattr__(self, "picture", sample.picture)
        object.__setattr__(self, "_sample", sample)

    @cached_property
    def mask(self) -> RLE:
        """COCO's RLE."""
        targets = self._sample.targets
        return targets[0] if len(targets) == 1 else encode(self._sample.mask())

    def __str__(self) -> str:
        return f"example {self._sample.id}"
