from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_tiny import TINY_CRIS, make_data

from referent.data.augment import Augment
from referent.data.loading import open_dataset
from referent.data.sample import Sample
from referent.errors import PictureError
from referent.models.base import Batch
from referent.models.cris.config import CRISConfig
from referent.models.cris.model import CRIS
from referent.preparation import Preparation
from referent.reference import Reference
from referent.training.items import gather
from referent.training.loading import Batches, Visiting, loader, trim
from referent.training.order import Order

PREPARATION = Preparation(size=32, context_length=12)


def batches(data: Path, group: str, phrases: int, parts: int = 1, augment: Augment | None = None) -> Batches:
    items = gather(open_dataset(data, "train").samples, group, phrases)
    return Batches(items, Order((len(items),), (1.0,), 4, 0), PREPARATION, {"": Visiting(augment)}, parts)


def test_items_of_group_picture_are_pictures_and_of_group_target_are_targets(data: Path) -> None:
    samples = open_dataset(data, "train").samples
    assert [len(item.samples) for item in gather(samples, "picture", 2)] == [6] * 9
    assert [len(item.samples) for item in gather(samples, "target", 1)] == [2] * 27


def test_phrases_that_are_true_of_nothing_are_one_target_of_their_picture(data: Path) -> None:
    sample = open_dataset(data, "train").samples[0]
    nothing = [Sample(str(n), sample.picture, sample.size, Reference.of(f"ghost {n}"), ()) for n in range(3)]
    assert [len(item.samples) for item in gather([*nothing, sample], "target", 1)] == [3, 1]


@pytest.mark.parametrize(("group", "phrases"), [("picture", 2), ("picture", 9), ("target", 1)])
def test_every_batch_holds_batch_times_phrases_references(data: Path, group: str, phrases: int) -> None:
    batch = batches(data, group, phrases)[0, 0]
    assert batch.target is not None
    assert batch.image.shape == (4, 3, 32, 32)
    assert len(batch.tokens) == len(batch.target) == len(batch.picture) == len(batch.ids) == 4 * phrases
    assert batch.picture.tolist() == [number for number in range(4) for _ in range(phrases)]


def test_a_picture_with_few_phrases_shows_each_before_it_repeats_one(data: Path) -> None:
    item = gather(open_dataset(data, "train").samples, "picture", 15)[0]
    shown = [sample.id for sample in item.draw(np.random.default_rng(0))]
    assert sorted(shown.count(sample.id) for sample in item.samples) == [2, 2, 2, 3, 3, 3]


def test_parts_divide_a_step_without_changing_what_it_holds(data: Path) -> None:
    whole, halves = (
        batches(data, "picture", 2)[1, 0],
        [batches(data, "picture", 2, parts=2)[1, part] for part in (0, 1)],
    )
    assert sorted(whole.ids) == sorted(halves[0].ids + halves[1].ids)
    assert len(halves[0].ids) == len(halves[1].ids)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing(data: Path, workers: int) -> None:
    # Augmentation draws many numbers, so any stream shared between samples would show.
    made = batches(data, "picture", 3, augment=Augment())
    for step, batch in enumerate(loader(made, 1, 4, [0], workers), start=1):
        expected = made[step, 0]
        assert batch.ids == expected.ids
        assert torch.equal(batch.image, expected.image)
        assert torch.equal(batch.tokens, expected.tokens)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    path = make_data(tmp_path)
    made = batches(path, "picture", 1)
    (tmp_path / "0.png").write_bytes(b"not a picture")
    with pytest.raises(PictureError, match=r"0\.png") as error:
        list(loader(made, 0, 4, [0], workers))
    assert "\n" not in str(error.value)


def test_tokens_are_cut_to_the_longest_phrase_and_a_bang_inside_is_kept() -> None:
    tokens = torch.tensor([[9, 0, 4, 7, 0, 0], [9, 4, 7, 0, 0, 0]])
    assert trim(tokens).tolist() == [[9, 0, 4, 7], [9, 4, 7, 0]]


def test_cris_answers_the_same_for_cut_tokens() -> None:
    torch.manual_seed(0)
    model = CRIS(CRISConfig.model_validate(TINY_CRIS)).eval()
    image, phrases = torch.randn(2, 3, 64, 64), ["a cat", "the second dog from the left"]
    tokens = PREPARATION.tokens(phrases)
    assert trim(tokens).shape[1] < tokens.shape[1]
    with torch.inference_mode():
        whole, cut = (model(Batch.paired(image, given)).logits for given in (tokens, trim(tokens)))
    assert torch.allclose(whole, cut, atol=1e-5)


def test_token_windows_stay_whole_for_a_model_that_reads_padding(data: Path) -> None:
    samples = open_dataset(data, "train").samples
    items = gather(samples, "picture", 2)
    for trimmed in (True, False):
        made = Batches(items, Order((len(items),), (1.0,), 4, 0), PREPARATION, {"": Visiting()}, 1, trimmed)
        assert (made[0, 0].tokens.shape[1] == PREPARATION.context_length) is not trimmed


def test_true_phrases_come_first_where_the_recipe_asks_for_them(data: Path) -> None:
    sample = open_dataset(data, "train").samples[0]
    ghosts = [Sample(str(n), sample.picture, sample.size, Reference.of(f"ghost {n}"), ()) for n in range(30)]
    (item,) = gather([*ghosts, sample], "picture", 3, present=1)
    draws = [item.draw(np.random.default_rng(seed)) for seed in range(20)]
    assert all([bool(one.targets) for one in draw] == [True, False, False] for draw in draws)
    assert len({draw[1].id for draw in draws}) > 5
    (small,) = gather([ghosts[0], sample], "picture", 5, present=2)
    assert sorted(one.id for one in small.draw(np.random.default_rng(0))) in (
        sorted([ghosts[0].id] * 3 + [sample.id] * 2),
        sorted([ghosts[0].id] * 2 + [sample.id] * 3),
    )


def test_boxes_are_those_of_the_targets_also_after_an_augmentation(data: Path) -> None:
    items = gather(open_dataset(data, "train").samples, "picture", 2)
    order = Order((len(items),), (1.0,), 4, 0)
    for augment in (None, Augment(flip=1, crop=1, zoom_out=1.5, colour=0)):
        batch = Batches(items, order, PREPARATION, {"": Visiting(augment)}, 1, boxed=True)[0, 0]
        assert batch.boxes is not None
        assert batch.target is not None
        assert batch.boxes.reference.tolist() == list(range(8))
        for corners, target in zip(batch.boxes.corners, batch.target[:, 0], strict=True):
            y, x = (target > 0.5).nonzero().unbind(1)
            around = torch.stack((x.min(), y.min(), x.max() + 1, y.max() + 1))
            assert (corners - around).abs().max() <= 1.5  # the mask has whole pixels


def test_a_crowd_is_part_of_the_mask_and_no_box(data: Path) -> None:
    samples = open_dataset(data, "train").samples[:1]
    (item,) = gather([replace(samples[0], crowds=1)], "picture", 1)
    batch = Batches([item], Order((1,), (1.0,), 1, 0), PREPARATION, {"": Visiting()}, 1, boxed=True)[0, 0]
    assert batch.boxes is not None
    assert batch.target is not None
    assert len(batch.boxes.corners) == 0
    assert batch.target.any()
