"""Where the phrases of an evaluation come from, kept so that they can be read again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.few_shot.questions import FewShot
from referent.data.loading import open_classes, open_dataset
from referent.data.sample import Dataset

ALL = "all"


@dataclass(frozen=True)
class Source:
    """A data set and the way it is asked.

    Attributes:
        path: of the file, or of a published data set's folder.
        pictures: folder of the pictures; None where they lie in a usual place.
        class_names: every class name is asked (`open_classes`), not the phrases.
        raw: a published data set's sentences are asked as they were typed.
        few_shot: classes are asked for by examples, and how; None where phrases are asked.
        split: the one, or ones, of which examples were asked for, as `open` takes it, since which episodes are drawn
            depends on it; None where phrases are asked.
    """

    path: str
    pictures: str | None = None
    class_names: bool = False
    raw: bool = False
    few_shot: FewShot | None = None
    split: str | None = None

    def open(self, split: str, *, allow_missing: bool = False, on_problem: OnProblem = "raise") -> Dataset:
        """The phrases of one split.

        Args:
            split: which; of examples also several with commas, or "all".
            allow_missing, on_problem: see `open_dataset`.

        Raises:
            DataError: see `open_dataset`.
        """
        path, pictures = Path(self.path), None if self.pictures is None else Path(self.pictures)
        if self.few_shot is not None:
            return self.few_shot.open(
                path,
                None if split == ALL else split,
                pictures=pictures,
                on_problem="skip" if allow_missing else on_problem,
            )
        if self.class_names:
            return open_classes(path, split, pictures=pictures, on_problem=on_problem)
        return open_dataset(
            path,
            split,
            pictures=pictures,
            on_problem=on_problem,
            wording="raw" if self.raw else "sent",
            allow_missing=allow_missing,
        )
