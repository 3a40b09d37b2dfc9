"""An evaluation's episodes as a data set: every episode is a sample whose reference is its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from referent.data.checking import OnProblem
from referent.data.few_shot.class_set import ClassSet, ShownExample
from referent.data.few_shot.episodes import EPISODES, SEEDS, Episode, Listing, episodes
from referent.data.few_shot.opening import open_class_set
from referent.data.sample import Dataset, Sample
from referent.reference import Reference

_LISTED: Mapping[Listing, str] = {
    "every": "each picture of a class is asked about once, by examples that are drawn",
    "first": "each picture of a class is asked about once, by the first other ones",
}
SEED = "seed"
"""The tag that tells the seed of an episode."""


@dataclass(frozen=True)
class FewShot:
    """How classes are asked for by examples.

    Attributes:
        shots: examples an episode.
        seeds: how many lists of episodes, of seeds 0, 1, ...
        episodes: of each, where `listing` is "drawn".
        listing: which episodes (`episodes.Listing`); None for "every" where each class has ten pictures or fewer, as
            in FSS-1000, else "drawn".
        named: say the class's name beside the examples.
        classes, leave_out, min_area: as `open_class_set` takes them.
    """

    shots: int
    seeds: int = SEEDS
    episodes: int = EPISODES
    listing: Listing | None = None
    named: bool = False
    classes: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    min_area: int = 0

    def open(
        self, path: Path, split: str | None, *, pictures: Path | None = None, on_problem: OnProblem = "raise"
    ) -> Dataset:
        """The episodes about a class set, seed after seed; `path`, `split` and the rest as in `open_class_set`.

        A sample's tags are `kind` ("example", or "both" with the name), `name` (the class) and `seed`. The examples'
        masks are drawn when a model asks for them.

        Raises:
            DataError: see `open_class_set`; or no class has enough pictures.
        """
        found = open_class_set(
            path,
            split,
            pictures=pictures,
            classes=self.classes,
            leave_out=self.leave_out,
            min_area=self.min_area,
            on_problem=on_problem,
        ).with_pictures(self.shots + 1)
        name = f"{found.name}, {self.shots}-shot{' with names' if self.named else ''}"
        listing = self.listing or ("every" if found.whole else "drawn")
        notes = [*found.notes, *([] if listing == "drawn" else [_LISTED[listing]])]
        if found.problems:
            notes.append(f"{len(found.problems)} unusable pictures or records are left out")
        samples = list(self._samples(found, listing))
        return Dataset(name, samples, found.problems, classes=tuple(found.classes), notes=tuple(notes))

    def _samples(self, classes: ClassSet, listing: Listing) -> Iterator[Sample]:
        # One for all episodes that show it, so that a model's memory of it serves them all.
        shown: dict[str, ShownExample] = {}
        # "first" draws nothing: a second seed would ask the same again.
        for seed in range(1 if listing == "first" else self.seeds):
            for number, episode in enumerate(episodes(classes, self.shots, seed, listing, self.episodes)):
                examples = tuple(shown.setdefault(one.id, ShownExample(one)) for one in episode.supports)
                yield self._sample(f"{seed}/{number}", seed, episode, examples)

    def _sample(self, place: str, seed: int, episode: Episode, examples: tuple[ShownExample, ...]) -> Sample:
        query = episode.query
        tags = {"kind": "both" if self.named else "example", "name": episode.name, SEED: str(seed)}
        reference = Reference(query.reference.phrase if self.named else None, examples)
        return Sample(
            f"{place} {query.id}",
            query.picture,
            query.size,
            reference,
            query.targets,
            query.split,
            tags,
            void=query.void,
        )
