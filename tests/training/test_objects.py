"""Pictures with all their objects on their way into a batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detection_data import write_coco, write_objects365
from PIL import Image

from referent.data.detection import read_detection
from referent.data.multiscale import MultiScale
from referent.data.sample import Sample
from referent.errors import DataError
from referent.preparation import Preparation
from referent.training.objects import show, together

PLAIN = Preparation(size=120, longest=200, fit="shortest", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Two squares of 20 and 16 pixels in a picture of 72 x 60."""
    return read_detection(write_coco(tmp_path_factory.mktemp("coco"))).pictures[1].sample()


@pytest.fixture(scope="module")
def boxed(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """The same with boxes alone."""
    return read_detection(write_objects365(tmp_path_factory.mktemp("objects365"))).pictures[1].sample()


def test_boxes_are_scaled_with_the_picture_and_agree_with_masks(masked: Sample, boxed: Sample) -> None:
    ours, alone = show(masked, None, PLAIN, rng()), show(boxed, None, PLAIN, rng())
    assert ours.image.shape == (3, 120, 144)
    assert ours.scale == 2
    assert ours.boxes.mask is not None
    assert alone.boxes.mask is None
    assert ours.boxes.mask.sum((1, 2)).tolist() == [40 * 40, 32 * 32]
    assert torch.equal(ours.boxes.corners, alone.boxes.corners)
    assert ours.boxes.label is not None
    assert ours.boxes.label.tolist() == list(masked.labels)


@pytest.mark.parametrize("seed", range(6))
def test_what_a_crop_leaves_is_where_its_colour_is(boxed: Sample, masked: Sample, seed: int) -> None:
    augment = MultiScale(sizes=(96, 120), longest=200, crop=1, before=(), window=(30, 40))
    shown = show(masked, augment, PLAIN, rng(seed))
    alone = show(boxed, augment, PLAIN, rng(seed))
    assert torch.equal(shown.image, alone.image)
    assert min(shown.image.shape[1:]) in (96, 120)
    assert shown.boxes.mask is not None
    assert len(shown.boxes.corners) == len(shown.boxes.mask) >= 1
    pixels = shown.image * 0.25 + 0.5
    for mask in shown.boxes.mask:
        inside = pixels[:, mask]
        assert float((inside.amax(0) - inside.amin(0)).mean()) > 0.4  # coloured, not grey
    if len(alone.boxes.corners) == len(shown.boxes.corners):
        assert (alone.boxes.corners - shown.boxes.corners).abs().max() < 3


def test_a_batch_pads_pictures_and_counts_objects_by_picture(masked: Sample, boxed: Sample) -> None:
    wide = PLAIN.fitted_to(60, 60)
    batch = together([show(masked, None, PLAIN, rng()), show(masked, None, wide, rng())], PLAIN, step=7)
    assert batch.image.shape == (2, 3, 120, 144)
    assert batch.sizes is not None
    assert batch.sizes.tolist() == [[120, 144], [50, 60]]
    assert batch.boxes is not None
    assert batch.boxes.reference.tolist() == [0, 0, 1, 1]
    assert batch.boxes.mask is not None
    assert batch.boxes.mask.shape == (4, 120, 144)
    assert batch.prepared is not None
    assert batch.prepared.scale.tolist() == pytest.approx([2, 50 / 60])
    assert (batch.step, batch.target) == (7, None)
    assert not batch.tokens.any()


def test_a_picture_of_another_size_than_its_annotations_is_named(boxed: Sample, tmp_path: Path) -> None:
    other = tmp_path / "other.png"
    Image.new("RGB", (70, 60)).save(other)
    changed = Sample("1", other, boxed.size, boxed.reference, boxed.targets, boxes=boxed.boxes, labels=boxed.labels)
    with pytest.raises(DataError, match=r"other\.png: 70 x 60, the annotations say 72 x 60"):
        show(changed, None, PLAIN, rng())
