"""From the sources that a recipe names to what is trained on and validated on."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from referent.data.detection import AllObjects, DetectionSet, read_detection
from referent.data.few_shot.class_set import ClassSet
from referent.data.few_shot.opening import open_class_set
from referent.data.few_shot.training import Draw, episode_items
from referent.data.loading import open_classes, open_dataset
from referent.data.published.held_out import held_out, identity
from referent.data.sample import Dataset, Sample
from referent.data.videos.clips import clips
from referent.data.videos.opening import open_videos
from referent.errors import RecipeError
from referent.training.data_part import Data, Source
from referent.training.items import Item, ObjectClip, gather, pseudo_clips
from referent.training.order import VALIDATION_STREAM


def training_items(source: Source, data: Data) -> Sequence[Item]:
    """The items of one training source.

    Raises:
        DataError: a file that cannot be used.
        RecipeError: what is there does not suit the task, or nothing is left.
    """
    share, left_out = data.share(source), LeftOut(source.without, _held_out(tuple(data.held_out)))
    items: Sequence[Item]
    match source.task:
        case "phrases":
            samples = left_out.of_samples(phrases_of(source).samples)
            items = gather(samples, data.group, data.phrases, data.present)
        case "pseudo-clips":
            if source.single_objects:
                items = [ObjectClip(scene, share.references) for scene in left_out.of_scenes(_objects(source).pictures)]
            else:
                items = pseudo_clips(left_out.of_samples(phrases_of(source).samples), share.references)
        case "objects":
            items = left_out.of_scenes(_objects(source).pictures)
        case "examples":
            how = Draw(share.references, (1, share.shots), share.said, share.absent)
            items = episode_items(left_out.of_classes(_classes(source)), how)
        case "clips":
            videos = open_videos(source.path, source.split)
            kept = [video for video in videos.videos if not left_out.names(video.name)]
            items = clips(replace(videos, videos=kept), spoken_names=source.spoken_names, phrase_only=share.phrase_only)
    if not items:
        raise RecipeError(f"data.train: {source.path}: nothing is left of it for task {source.task}")
    return items


def validation_set(name: str, source: Source, data: Data, seed: int) -> Dataset:
    """What one source is validated on, under `name`: its phrases, or one visit to each picture of its classes.

    Raises:
        DataError: a file that cannot be used.
        RecipeError: validation knows no such task.
    """
    if source.task == "phrases":
        return replace(phrases_of(source), name=name)
    if source.task == "objects":
        found = _objects(source)
        return Dataset(name, [scene.sample() for scene in found.pictures], classes=found.classes)
    if source.task != "examples":
        raise RecipeError(f"data.val: {source.path}: expected task phrases, examples or objects, found {source.task}")
    generator = np.random.default_rng((VALIDATION_STREAM, seed))
    drawn = [item.draw(generator) for item in episode_items(_classes(source), Draw())]
    return _limited(Dataset(name, [sample for samples in drawn for sample in samples]), source.limit)


def phrases_of(source: Source) -> Dataset:
    """Of a source of phrases, within its `limit`.

    Raises:
        DataError: a file that cannot be used.
    """
    if source.class_names:
        dataset = open_classes(source.path, source.split, pictures=source.pictures)
    else:
        dataset = open_dataset(source.path, source.split, pictures=source.pictures, wording=source.wording)
    return _limited(dataset, source.limit)


class LeftOut:
    """Names that a training must not learn, and pictures that it must not see.

    Args:
        names: words, or several words each; letter case does not matter.
        pictures: as `data.published.held_out.identity` knows them.
    """

    def __init__(self, names: Sequence[str], pictures: Set[str] = frozenset()) -> None:
        self._pictures = pictures
        alternatives = "|".join(re.escape(name) for name in names)
        self._pattern = re.compile(rf"\b({alternatives})(s|es)?\b", re.IGNORECASE) if names else None

    def names(self, text: str) -> bool:
        """Whether one of them occurs in `text`, which may join words by hyphens or underscores."""
        return self._pattern is not None and self._pattern.search(text.replace("_", " ").replace("-", " ")) is not None

    def of_samples(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those of other pictures whose phrase and whose tag `name` hold none of the names."""
        return [
            sample
            for sample in samples
            if not self.names(f"{sample.reference.phrase} / {sample.tags.get('name', '')}")
            and not self._held_out(sample.picture)
        ]

    def of_scenes(self, scenes: Sequence[AllObjects]) -> list[AllObjects]:
        """Those of other pictures."""
        return [scene for scene in scenes if not self._held_out(scene.picture)]

    def of_classes(self, found: ClassSet) -> ClassSet:
        """Those that are called otherwise, with their other pictures."""
        left = {
            name: [sample for sample in samples if not self._held_out(sample.picture)]
            for name, samples in found.classes.items()
            if not self.names(name)
        }
        return replace(found, classes={name: samples for name, samples in left.items() if samples})

    def _held_out(self, picture: Path) -> bool:
        return identity(picture.name) in self._pictures


@lru_cache(maxsize=1)
def _held_out(paths: tuple[Path, ...]) -> frozenset[str]:
    return held_out(paths)


def _objects(source: Source) -> DetectionSet:
    """Of a source of objects, within its `limit`."""
    found = read_detection(source.path, source.split, pictures=source.pictures)
    count = min(source.limit or len(found.pictures), len(found.pictures))
    return replace(found, pictures=[found.pictures[index * len(found.pictures) // count] for index in range(count)])


def _classes(source: Source) -> ClassSet:
    return open_class_set(source.path, source.split, pictures=source.pictures)


def _limited(dataset: Dataset, limit: int | None) -> Dataset:
    if limit is None:
        return dataset
    pictures = list(dict.fromkeys(sample.picture for sample in dataset.samples))
    count = min(limit, len(pictures))
    kept = {pictures[index * len(pictures) // count] for index in range(count)}
    return replace(dataset, samples=[sample for sample in dataset.samples if sample.picture in kept])
