"""Trainings on several tasks: turns, what is left out, examples in batches, weights that a resume does not change."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from rich.console import Console
from training_tiny import make_data
from unirefpp_sets import write_fss

import referent as rf
from referent import weights
from referent.data.augment import Augment
from referent.data.loading import open_dataset
from referent.data.sample import Sample
from referent.errors import RecipeError
from referent.preparation import Preparation
from referent.reference import Example, Phrase, Reference
from referent.rle import encode
from referent.training.data_part import Data, Source
from referent.training.items import Item, Phrases, proportions, pseudo_clips
from referent.training.loading import Batches, Visiting, trim
from referent.training.loop import train
from referent.training.order import BUCKETED, Order
from referent.training.recipe import Recipe
from referent.training.sources import LeftOut, training_items, validation_set

SQUARE = Preparation(size=32, context_length=12)
OPEN = Preparation(size=32, fit="shortest", longest=64, context_length=12)


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("phrases"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fss(tmp_path_factory.mktemp("classes") / "fss")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sequences of four frames in DAVIS 2016's layout."""
    root = tmp_path_factory.mktemp("davis")
    for name in ("red-box", "tall-box", "wide-box"):
        for kind in ("JPEGImages", "Annotations"):
            (root / kind / name).mkdir(parents=True)
        for frame in range(4):
            mask = np.zeros((40, 60), np.uint8)
            mask[8:24, 6 + 6 * frame : 22 + 6 * frame] = 255
            pixels = np.full((40, 60, 3), 90, np.uint8)
            pixels[mask > 0] = (220, 20, 20)
            Image.fromarray(pixels).save(root / "JPEGImages" / name / f"{frame:05d}.jpg")
            Image.fromarray(mask).save(root / "Annotations" / name / f"{frame:05d}.png")
    return root


# Turns


def test_every_step_is_of_one_task_and_tasks_take_turns_by_their_ratios() -> None:
    order = Order((8, 6, 9), (1.0, 1.0, 1.0), 2, 0, ("a", "b", "a"), (("a", 3.0), ("b", 1.0)))
    turns = [order.task(step) for step in range(40)]
    assert Counter(turns) == {"a": 30, "b": 10}
    assert all(turns[start : start + 4].count("b") == 1 for start in range(0, 40, 4))
    for step, task in enumerate(turns):
        of_b = [8 <= visit.item < 14 for visit in order.visits(step)]
        assert of_b == [task == "b"] * 2


def test_a_task_visits_all_its_items_before_it_visits_one_again() -> None:
    order = Order((6, 4), (1.0, 1.0), 2, 0, ("a", "b"), (("a", 1.0), ("b", 1.0)))
    seen = [visit.item for step in range(6) if order.task(step) == "a" for visit in order.visits(step)]
    assert sorted(seen) == list(range(6))


def test_a_task_with_fewer_items_than_a_batch_is_named() -> None:
    with pytest.raises(RecipeError, match="the 1 items of an epoch of task clips, found 2"):
        Order((8, 1), (1.0, 1.0), 2, 0, ("phrases", "clips"))


def test_buckets_put_like_pictures_together_and_visit_the_same_items() -> None:
    shapes = tuple(float(number % 3) for number in range(96))
    plain, bucketed = (Order((96,), (1.0,), 4, 0, proportions=own) for own in ((), shapes))
    steps = range(plain.steps_per_epoch)
    visited = [[visit.item for step in steps for visit in order.visits(step)] for order in (plain, bucketed)]
    assert sorted(visited[0]) == sorted(visited[1])
    kinds = [{shapes[visit.item] for visit in bucketed.visits(step)} for step in steps]
    assert sum(len(kind) > 1 for kind in kinds) <= 2 * len(steps) / BUCKETED + 2
    # The order of shapes is by chance, not all of one after all of another.
    assert [min(kind) for kind in kinds] != sorted(min(kind) for kind in kinds)


# What is left out


def test_left_out_names_are_found_as_words_in_phrases_tags_classes_and_names_of_videos() -> None:
    left_out = LeftOut(["wine glass", "bus"])
    assert all(map(left_out.names, ("the red bus", "Buses", "two wine glasses", "wine_glass", "bus-stop")))
    assert not any(map(left_out.names, ("a busy street", "glass", "rebus")))
    assert not LeftOut([]).names("anything")
    picture = Sample("1", Path("a.png"), (4, 4), Reference.of("vehicle"), (), tags={"name": "bus"})
    assert left_out.of_samples([picture, replace(picture, tags={"name": "car"})]) == [
        replace(picture, tags={"name": "car"})
    ]


def test_what_is_left_out_of_a_source_is_in_none_of_its_items(phrases: Path, classes: Path, videos: Path) -> None:
    def items(**source: Any) -> list[Item]:
        return list(training_items(*part(source)))

    def part(source: dict[str, Any]) -> tuple[Source, Data]:
        data = Data.model_validate({"train": [source], "group": "picture", "phrases": 2})
        return data.train[0], data

    generator = np.random.default_rng(0)
    for task in ("phrases", "pseudo-clips"):
        samples = [s for item in items(path=phrases, task=task, without=["red"]) for s in item.samples]  # type: ignore[attr-defined]
        assert samples
        assert not any("red" in str(sample.reference) for sample in samples)
    names = {s.tags["name"] for item in items(path=classes, task="examples") for s in item.draw(generator)}
    left = items(path=classes, task="examples", without=[sorted(names)[0]])
    assert {s.tags["name"] for item in left for s in item.draw(generator)} == set(sorted(names)[1:])
    assert len(items(path=videos, task="clips", without=["tall box"])) == 2
    with pytest.raises(RecipeError, match="nothing is left of it for task phrases"):
        items(path=phrases, without=["square", "thing"])


def test_a_setting_that_a_task_does_not_read_is_refused() -> None:
    with pytest.raises(ValidationError, match="phrases has no setting shots; it has augment, ratio"):
        Data.model_validate({"train": [{"path": "a"}], "tasks": {"phrases": {"shots": 2}}})
    with pytest.raises(ValidationError, match="no source of `train` is of task clips"):
        Data.model_validate({"train": [{"path": "a"}], "tasks": {"clips": {}}})


# Items


def test_a_pseudo_clip_shows_each_mask_of_a_picture_once_and_by_itself(phrases: Path) -> None:
    samples = open_dataset(phrases, "train").samples
    (item, *_) = pseudo_clips(samples, 3)
    assert len({tuple(t["counts"] for t in sample.targets) for sample in item.samples}) == len(item.samples) == 3
    for sample in item.draw(np.random.default_rng(0)):
        (example,) = sample.reference.examples
        assert example.picture == sample.picture
        assert example.mask == sample.targets[0]
        assert sample.reference.phrase is None


def test_a_picture_without_a_class_is_asked_for_it_where_absences_are_wanted(classes: Path) -> None:
    data = Data.model_validate(
        {"train": [{"path": classes, "task": "examples"}], "tasks": {"examples": {"absent": 0.5, "references": 4}}}
    )
    generator = np.random.default_rng(0)
    drawn = [s for item in training_items(data.train[0], data) for s in item.draw(generator)]
    absent = [sample for sample in drawn if not sample.targets]
    assert 0.2 < len(absent) / len(drawn) < 0.8
    assert all(sample.tags["name"] not in str(sample.picture.parent.name) for sample in absent)
    assert all(
        sample.tags["name"] in str(example.picture) for sample in absent for example in sample.reference.examples
    )


def test_validation_by_examples_asks_the_same_at_every_start(classes: Path) -> None:
    data = Data.model_validate({"train": [{"path": "a"}], "val": [{"path": classes, "task": "examples", "limit": 4}]})
    first, second = (validation_set("few", data.val[0], data, 0).samples for _ in range(2))
    assert [[str(e.picture) for e in s.reference.examples] for s in first] == [
        [str(e.picture) for e in s.reference.examples] for s in second
    ]
    assert len({sample.picture for sample in first}) == 4


# Batches


class Asked:
    """One picture with given references."""

    cost = 1.0

    def __init__(self, *samples: Sample) -> None:
        self.samples = list(samples)

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        return self.samples


def picture(folder: Path, name: str, height: int, width: int) -> tuple[Path, np.ndarray]:
    """A grey picture with a red left half, and the half's mask."""
    mask = np.zeros((height, width), bool)
    mask[:, : width // 2] = True
    pixels = np.full((height, width, 3), 90, np.uint8)
    pixels[mask] = (220, 20, 20)
    Image.fromarray(pixels).save(folder / name)
    return folder / name, mask


def batch_of(items: list[Any], preparation: Preparation, visiting: Visiting | None = None) -> Any:
    order = Order((len(items),), (1.0,), len(items), 0)
    return Batches(items, order, preparation, {"": visiting or Visiting()}, 1)[0, 0]


def asked(folder: Path) -> list[Asked]:
    """Two pictures of different sizes: one asked by a phrase and by two examples, the other by phrase and example."""
    wide, wide_mask = picture(folder, "wide.png", 20, 40)
    tall, tall_mask = picture(folder, "tall.png", 48, 32)
    of_wide, of_tall = Example(wide, encode(wide_mask)), Example(tall, encode(tall_mask))

    def sample(name: str, path: Path, mask: np.ndarray, reference: Reference) -> Sample:
        return Sample(name, path, mask.shape, reference, (encode(mask),))  # type: ignore[arg-type]

    return [
        Asked(
            sample("said", wide, wide_mask, Reference.of("red half")),
            sample("shown", wide, wide_mask, Reference(examples=(of_tall, of_wide))),
        ),
        Asked(sample("both", tall, tall_mask, Reference(Phrase("half"), (of_wide,)))),
    ]


def test_examples_belong_to_their_references_and_references_without_a_phrase_have_no_tokens(tmp_path: Path) -> None:
    batch = batch_of(asked(tmp_path), SQUARE)
    rows = {name: row for row, name in enumerate(batch.ids)}
    assert batch.examples.reference.tolist() == sorted([rows["shown"], rows["shown"], rows["both"]])
    assert batch.examples.image.shape == (3, 3, 32, 32)
    assert batch.sizes is None
    assert batch.examples.sizes is None
    assert not batch.tokens[rows["shown"]].any()
    assert batch.tokens[rows["said"]].any()
    assert batch.tokens[rows["both"]].any()


def test_pictures_of_several_sizes_lie_at_the_upper_left_of_one_batch(tmp_path: Path) -> None:
    batch = batch_of(asked(tmp_path), OPEN)
    # Shortest side 32, longest at most 64.
    sizes = {tuple(size) for size in batch.sizes.tolist()}
    assert sizes == {(32, 64), (48, 32)}
    assert batch.image.shape[-2:] == batch.target.shape[-2:] == (48, 64)
    assert {tuple(size) for size in batch.examples.sizes.tolist()} == sizes
    for target, which in zip(batch.target, batch.picture, strict=True):
        height, width = batch.sizes[which].tolist()
        assert target[0, :height, : width // 2].all()
        assert target.sum() == height * (width // 2)
    for mask, (height, width) in zip(batch.examples.mask, batch.examples.sizes.tolist(), strict=True):
        assert mask.sum() == height * (width // 2)


def test_examples_change_by_themselves_and_are_mirrored_with_their_picture_where_asked(tmp_path: Path) -> None:
    path, mask = picture(tmp_path, "a.png", 32, 32)
    sample = Sample("a", path, (32, 32), Reference(examples=(Example(path, encode(mask)),)), (encode(mask),))
    items = [Asked(sample)] * 24
    flip = Augment(flip=0.5, crop=1, zoom_out=1, colour=0)
    together, apart = (batch_of(items, SQUARE, Visiting(flip, mirrored_together=agree)) for agree in (True, False))
    assert torch.equal(together.target, together.examples.mask)
    assert 0 < together.target[:, 0, 16, 0].sum() < 24
    assert not torch.equal(apart.target, apart.examples.mask)
    for batch in (together, apart):
        red = batch.examples.image[:, 0] > batch.examples.image[:, 1]
        assert torch.equal(red, batch.examples.mask[:, 0] > 0.5)


def test_an_example_never_loses_all_of_its_mask(tmp_path: Path) -> None:
    path, _ = picture(tmp_path, "a.png", 40, 40)
    corner = np.zeros((40, 40), bool)
    corner[:3, :3] = True
    sample = Sample("a", path, (40, 40), Reference(examples=(Example(path, encode(corner)),)), ())
    batch = batch_of([Asked(sample)] * 24, SQUARE, Visiting(Augment(flip=0, crop=0.3, zoom_out=1, colour=0)))
    assert batch.examples.mask.flatten(1).any(1).all()


def test_tokens_of_no_phrase_at_all_keep_one_column() -> None:
    assert trim(torch.zeros(3, 7, dtype=torch.int64)).shape == (3, 1)


def test_proportions_of_an_item_without_a_picture_of_its_own_are_those_of_a_square() -> None:
    assert proportions(Asked()) == 1
    sample = Sample("a", Path("a.png"), (30, 60), Reference.of("a"), ())
    assert proportions(Phrases((sample,), 1)) == 0.5


# Whole trainings


def recipe(phrases: Path, classes: Path, videos: Path, output: Path, **changes: Any) -> Recipe:
    words = {"kind": "clip-text", "vocabulary": 49408, "width": 16, "layers": 1, "heads": 1, "context": 12, "embed": 16}
    detector = {"encoder_layers": 1, "decoder_layers": 1, "heads": 2, "points": 1, "feedforward": 16, "queries": 6}
    config = {
        "image": {"kind": "resnet", "depths": [1, 1, 1, 1], "width": 4},
        "text": words,
        "width": 32,
        # With fewer channels in channels_last, oneDNN's gradient of a strided convolution writes beyond its memory.
        "mask_encoder": {"depths": [1, 1, 1, 1], "width": 8, "inner": 8, "direct": True},
        "fusion": {"heads": 2, "head_width": 8},
        "detector": {**detector, "proposals": "many"},
        "dense": True,
    }
    train = [
        {"path": str(phrases), "split": "train"},
        {"path": str(classes), "task": "examples"},
        {"path": str(videos), "task": "clips", "spoken_names": True},
        {"path": str(phrases), "split": "train", "task": "pseudo-clips"},
    ]
    content = {
        "model": {"family": "unirefpp", "config": config},
        "preparation": {"size": 64, "longest": 96, "fit": "shortest", "context_length": 12, "clean": True},
        "data": {
            "train": train,
            "group": "picture",
            "phrases": 2,
            "buckets": True,
            "augment": {},
            "tasks": {"examples": {"shots": 2}, "clips": {"phrase_only": 0.3, "full_resolution": True}},
        },
        "loss": {"class": 1.0, "l1": 1.0, "giou": 1.0, "mask_bce": 1.0, "dice": 1.0, "dense": 1.0},
        "optimiser": {"lr": 0.002, "clip": 1.0},
        "schedule": {"kind": "cosine"},
        "batch": 2,
        "steps": 8,
        "presence_threshold": 0.25,
        "workers": 0,
        "validate_every": 8,
        "save_every": 5,
        "log_every": 1,
        "output": str(output),
    }
    return Recipe.model_validate(content | changes)


def test_a_training_on_all_tasks_resumes_to_the_same_weights(
    phrases: Path, classes: Path, videos: Path, tmp_path: Path, console: Console
) -> None:
    whole = train(recipe(phrases, classes, videos, tmp_path / "whole"), console=console)
    # Cut short after its first checkpoint, as by a kill.
    train(recipe(phrases, classes, videos, tmp_path / "torn"), console=console)
    for later in (tmp_path / "torn").glob("*"):
        if later.name not in ("step-00000005.pt", "log.jsonl"):
            later.unlink() if later.is_file() else None
    assert (tmp_path / "torn" / "step-00000005.pt").is_file()
    resumed = train(recipe(phrases, classes, videos, tmp_path / "torn"), resume=True, console=console)
    assert whole.weights is not None
    assert resumed.weights is not None
    first, second = weights.read_tensors(whole.weights), weights.read_tensors(resumed.weights)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert rf.load(whole.weights, device="cpu").presence_threshold == 0.25  # type: ignore[union-attr]


def test_a_model_that_takes_no_examples_is_not_trained_on_them(classes: Path, tmp_path: Path, console: Console) -> None:
    from referent.training.plan import make_plan

    content = recipe(classes, classes, classes, tmp_path).plain()
    content["data"] |= {"train": [{"path": str(classes), "task": "examples"}], "tasks": {}}
    content["model"]["config"]["mask_encoder"] = None
    with pytest.raises(RecipeError, match="task examples: unirefpp as configured takes phrases only"):
        make_plan(Recipe.model_validate(content))
