"""Pictures with all their objects, from files to batches: what a detector learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from referent.data.multiscale import MultiScale, Way
from referent.data.sample import Sample
from referent.errors import DataError
from referent.models.base import Batch, Boxes, Prepared
from referent.picture import read_picture
from referent.rle import decode
from referent.segmentation import box_of

if TYPE_CHECKING:
    from referent.preparation import Preparation

# A crop without any object is drawn anew so many times, then left.
_TRIES = 5


@dataclass(frozen=True)
class Shown:
    """One picture with its objects, ready for a batch.

    Attributes:
        image: (3, h, w), normalised.
        boxes: of T objects, with labels, and with masks (T, h, w) where the data have some; `reference` is 0.
        scale: the picture's height here by its height in the file.
        id: of the sample.
    """

    image: Tensor
    boxes: Boxes
    scale: float
    id: str


def show(sample: Sample, augment: MultiScale | None, preparation: Preparation, generator: np.random.Generator) -> Shown:
    """Reads the picture of a sample of `data.detection`.

    Boxes are those of the masks as the model sees them; where there are none, the file's, changed with the picture.
    Objects that a crop cuts away are left out.

    Raises:
        PictureError, DataError: a picture or mask that cannot be used.
    """
    picture = read_picture(sample.picture)
    size = (picture.height, picture.width)
    if size != sample.size:
        is_, says = (f"{width} x {height}" for height, width in (size, sample.size))
        raise DataError(f"{sample.picture}: {is_}, the annotations say {says}")
    left, top, width, height = np.array(sample.boxes, dtype=np.float64).T
    corners = np.stack((left, top, left + width, top + height), axis=1)
    way, kept = _way(corners, size, augment, generator)
    if augment is not None:
        preparation = preparation.fitted_to(*augment.fit(generator))
        picture = way.picture(picture)
    changed = (picture.height, picture.width)
    image = preparation.picture(picture)
    labels = np.array(sample.labels)[kept]
    mask = None
    if sample.tags.get("truth") == "box":
        found = preparation.boxes(torch.from_numpy(way.boxes(corners)[kept]), changed)
    else:
        masks = [way.mask(decode(sample.targets[row])) for row in np.flatnonzero(kept).tolist()]
        mask = torch.cat([torch.zeros(0, *image.shape[1:]), *(preparation.mask(own) for own in masks)]) > 0.5
        tight = [box_of(own.numpy()) for own in mask]
        there = [box is not None for box in tight]
        found = torch.tensor([box for box in tight if box is not None], dtype=torch.float32).reshape(-1, 4)
        labels, mask = labels[there], mask[there]
    boxes = Boxes(found, torch.zeros(len(found), dtype=torch.int64), torch.from_numpy(labels), mask)
    return Shown(image, boxes, image.shape[-2] / sample.size[0], sample.id)


def together(shown: Sequence[Shown], preparation: Preparation, step: int) -> Batch:
    """One batch of several pictures, without phrases or targets.

    Args:
        shown: at least one.
        preparation: by which they were normalised.
        step: as in `Batch`.
    """
    height, width = (max(one.image.shape[axis] for one in shown) for axis in (-2, -1))
    masks = [within(one.boxes.mask, height, width) for one in shown if one.boxes.mask is not None]
    rows = [torch.full_like(one.boxes.reference, row) for row, one in enumerate(shown)]
    labels = [one.boxes.label for one in shown if one.boxes.label is not None]
    corners = torch.cat([one.boxes.corners for one in shown])
    return Batch(
        image=torch.stack([within(one.image, height, width) for one in shown]),
        tokens=torch.zeros(len(shown), 1, dtype=torch.int64),
        picture=torch.arange(len(shown)),
        ids=tuple(one.id for one in shown),
        sizes=torch.tensor([one.image.shape[-2:] for one in shown]),
        boxes=Boxes(corners, torch.cat(rows), torch.cat(labels), torch.cat(masks) if masks else None),
        prepared=Prepared(
            torch.tensor(preparation.mean), torch.tensor(preparation.std), torch.tensor([one.scale for one in shown])
        ),
        step=step,
    )


def _way(
    corners: NDArray[np.float64], size: tuple[int, int], augment: MultiScale | None, generator: np.random.Generator
) -> tuple[Way, NDArray[np.bool_]]:
    """A change of the picture that leaves some object in it, and which objects it leaves."""
    whole = Way(size, False, size, (0, 0, size[1], size[0]))
    for way in (augment.way(size, [], generator) for _ in range(_TRIES) if augment is not None):
        left = way.boxes(corners)
        kept: NDArray[np.bool_] = np.all(left[:, 2:] > left[:, :2], axis=1)
        if kept.any():
            return way, kept
    return whole, np.ones(len(corners), dtype=bool)


def within(maps: Tensor, height: int, width: int) -> Tensor:
    """(..., h, w) in the upper left corner of (..., height, width), zeros around."""
    return F.pad(maps, (0, width - maps.shape[-1], 0, height - maps.shape[-2]))
