"""From samples on disk to batches of tensors, in worker processes.

What costs a worker time is the size of a picture (decoding, warping it and its masks), and what costs the text
encoder time is the longest phrase of a batch. Both differ from item to item by an order of magnitude, so a step's items
are dealt to the processes and accumulation passes by cost, and the token window is cut to the longest phrase present,
unless the model reads padding.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from referent.data.augment import Augment
from referent.data.multiscale import MultiScale
from referent.data.sample import Sample
from referent.errors import ReferentError
from referent.models.base import Batch, Boxes, Examples
from referent.picture import read_mask, read_picture
from referent.reference import Example
from referent.rle import RLE, decode
from referent.segmentation import box_of
from referent.training.items import Item
from referent.training.objects import Shown, show, together, within
from referent.training.order import Order, Visit, deal

if TYPE_CHECKING:
    from referent.preparation import Preparation

# An example whose target every one of so many random changes has cut away is shown as it is.
_TRIES = 5


@dataclass(frozen=True)
class Visiting:
    """How items of one task are loaded.

    Attributes:
        augment: changes a picture, its masks and its phrases together before preparation, or None. Examples are changed
            each on its own.
        mirrored_together: mirror a picture and its examples together or not at all.
        full_resolution: see `Batch.full_resolution`.
        objects: pictures come with all their objects and without references (`training.objects`).
    """

    augment: Augment | MultiScale | None = None
    mirrored_together: bool = False
    full_resolution: bool = False
    objects: bool = False


class Batches(TorchDataset[Batch]):
    """Every batch of a training, by (step, part).

    Args:
        items: of all sources, one after the other, as `order` counts them.
        order: which items make up a step.
        preparation: pictures, masks and phrases to tensors.
        visits: how items of each task of `order` are loaded.
        parts: batches a step is cut into: processes x accumulation passes.
        trimmed: cut token windows to the longest phrase present; not for a model that reads padding.
        boxed: give the boxes of the targets too, crowds left out; for a model that learns from them.
    """

    def __init__(
        self,
        items: Sequence[Item],
        order: Order,
        preparation: Preparation,
        visits: Mapping[str, Visiting],
        parts: int,
        trimmed: bool = True,
        boxed: bool = False,
    ) -> None:
        self.items, self.order, self.preparation = items, order, preparation
        self.visits, self.parts, self.trimmed, self.boxed = visits, parts, trimmed, boxed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        step, part = key
        visits = self.order.visits(step)
        hand = deal([self.items[visit.item].cost for visit in visits], self.parts)[part]
        visiting = self.visits[self.order.task(step)]
        if visiting.objects:
            return together([self._shown(visits[position], visiting) for position in hand], self.preparation, step)
        loaded = [self._load(visits[position], visiting) for position in hand]
        counts = torch.tensor([len(one.ids) for one in loaded])
        tokens = torch.cat([one.tokens for one in loaded])
        height, width = (max(one.image.shape[axis] for one in loaded) for axis in (-2, -1))
        return Batch(
            image=torch.stack([within(one.image, height, width) for one in loaded]),
            tokens=trim(tokens) if self.trimmed else tokens,
            picture=torch.repeat_interleave(torch.arange(len(loaded)), counts),
            target=torch.cat([within(one.target, height, width) for one in loaded]),
            ids=tuple(name for one in loaded for name in one.ids),
            examples=self._examples([one.examples for one in loaded], counts),
            sizes=self._sizes([one.image for one in loaded]),
            boxes=_joined([one.boxes for one in loaded], counts) if self.boxed else None,
            step=step,
            full_resolution=visiting.full_resolution,
        )

    def _shown(self, visit: Visit, visiting: Visiting) -> Shown:
        generator = visit.generator(self.order.seed)
        (sample,) = self.items[visit.item].draw(generator)
        assert not isinstance(visiting.augment, Augment)
        return show(sample, visiting.augment, self.preparation, generator)

    def _load(self, visit: Visit, visiting: Visiting) -> _Loaded:
        generator = visit.generator(self.order.seed)
        samples = self.items[visit.item].draw(generator)
        picture = read_picture(samples[0].picture)
        masks = [sample.mask() for sample in samples]
        things = [
            (row, decode(thing)) for row, sample in enumerate(samples) for thing in _counted(sample) if self.boxed
        ]
        phrases = [str(sample.reference.phrase or "") for sample in samples]
        augment, preparation = visiting.augment, self.preparation
        if augment is not None:
            if visiting.mirrored_together:
                augment = augment.settled(generator)
            every = [*masks, *(mask for _, mask in things)]
            picture, every, phrases = augment(picture, every, phrases, generator)
            masks, changed = every[: len(masks)], every[len(masks) :]
            things = [(row, mask) for (row, _), mask in zip(things, changed, strict=True)]
            preparation = _fitted(preparation, augment, generator)
        return _Loaded(
            image=preparation.picture(picture),
            tokens=self._tokens(phrases),
            target=torch.stack([preparation.mask(mask) for mask in masks]),
            ids=[sample.id for sample in samples],
            examples=[
                (row, *self._example(example, augment, generator))
                for row, sample in enumerate(samples)
                for example in sample.reference.examples
            ],
            boxes=_boxes(things, (picture.height, picture.width), preparation),
        )

    def _tokens(self, phrases: Sequence[str]) -> Tensor:
        """(N, L); zeros where a reference has no phrase."""
        tokens = self.preparation.tokens(phrases)
        tokens[[not phrase for phrase in phrases]] = 0
        return tokens

    def _example(
        self, example: Example, augment: Augment | MultiScale | None, generator: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Picture (3, h, w) and mask (1, h, w); changed so that something of the mask is left."""
        picture = read_picture(example.picture)
        mask = read_mask(example.mask, (picture.height, picture.width))
        preparation = self.preparation
        if augment is not None:
            preparation = _fitted(preparation, augment, generator)
            for _ in range(_TRIES):
                changed, (left,), _ = augment(picture, [mask], [], generator)
                if left.any():
                    picture, mask = changed, left
                    break
        return preparation.picture(picture), preparation.mask(mask)

    def _examples(self, loaded: Sequence[Sequence[tuple[int, Tensor, Tensor]]], counts: Tensor) -> Examples | None:
        """Those of all visits; None where no reference has any."""
        firsts = (counts.cumsum(0) - counts).tolist()
        every = [(first + row, *rest) for own, first in zip(loaded, firsts, strict=True) for row, *rest in own]
        if not every:
            return None
        rows, images, masks = zip(*every, strict=True)
        height, width = (max(image.shape[axis] for image in images) for axis in (-2, -1))
        return Examples(
            image=torch.stack([within(image, height, width) for image in images]),
            mask=torch.stack([within(mask, height, width) for mask in masks]),
            reference=torch.tensor(rows),
            sizes=self._sizes(images),
        )

    def _sizes(self, images: Sequence[Tensor]) -> Tensor | None:
        """(B, 2) of pictures (3, h, w); None where preparation makes squares of all."""
        if self.preparation.longest is None:
            return None
        return torch.tensor([image.shape[-2:] for image in images])


@dataclass(frozen=True)
class _Loaded:
    """One visit's part of a batch; `examples` (reference, picture, mask) and `boxes` count its references from 0."""

    image: Tensor
    tokens: Tensor
    target: Tensor
    ids: list[str]
    examples: list[tuple[int, Tensor, Tensor]]
    boxes: Boxes


def _fitted(preparation: Preparation, augment: Augment | MultiScale, generator: np.random.Generator) -> Preparation:
    """For a picture of the size that an augmentation draws, if it draws one."""
    size = augment.fit(generator)
    return preparation if size is None else preparation.fitted_to(*size)


def _boxes(things: Sequence[tuple[int, NDArray[np.bool_]]], size: tuple[int, int], preparation: Preparation) -> Boxes:
    """Boxes of (row, mask) pairs; what an augmentation has cut away has none."""
    found = [(row, box) for row, mask in things if (box := box_of(mask)) is not None]
    corners = torch.tensor([box for _, box in found], dtype=torch.float32).reshape(-1, 4)
    return Boxes(preparation.boxes(corners, size), torch.tensor([row for row, _ in found], dtype=torch.int64))


def _counted(sample: Sample) -> Sequence[RLE]:
    return sample.targets[: len(sample.targets) - sample.crowds]


def _joined(boxes: Sequence[Boxes], counts: Tensor) -> Boxes:
    firsts = (counts.cumsum(0) - counts).tolist()
    return Boxes(
        torch.cat([one.corners for one in boxes]),
        torch.cat([one.reference + first for one, first in zip(boxes, firsts, strict=True)]),
    )


def trim(tokens: Tensor) -> Tensor:
    """Token windows cut to the longest phrase: (N, L) int64 to (N, shorter L).

    Padding (0) stands at the end, and few models' answers depend on it (`SegmentationModel.reads_padding`): CLIP's text
    encoder is causal and the decoders mask it.
    """
    used = (tokens != 0).any(dim=0).nonzero()
    return tokens[:, : int(used.max()) + 1 if len(used) else 1]


def loader(batches: Batches, first: int, last: int, parts: Sequence[int], workers: int) -> Iterator[Batch]:
    """The batches of steps `first` to `last` (excluded), `parts` of each in turn, loaded ahead by `workers` processes.

    One stream for the whole training: no gap between epochs, and nothing to rewind when resuming.

    Raises:
        PictureError, DataError: a picture or mask that cannot be used.
    """
    keys = ((step, part) for step in range(first, last) for part in parts)
    stream: Iterator[Batch | ReferentError] = iter(
        DataLoader(
            _Reporting(batches),
            sampler=keys,
            batch_size=None,
            num_workers=workers,
            worker_init_fn=_prepare_worker if workers else None,
            # Loading draws no number from torch's stream, whatever the number of workers.
            generator=torch.Generator(),
        )
    )
    for batch in stream:
        if isinstance(batch, ReferentError):
            raise batch
        yield batch


class _Reporting(TorchDataset[Batch | ReferentError]):
    """Hands a user's error back as it is; raised in a worker it would arrive wrapped in that worker's traceback."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, key: tuple[int, int]) -> Batch | ReferentError:
        try:
            return self.batches[key]
        except ReferentError as error:
            return error


def _prepare_worker(_: int) -> None:
    # Ctrl-C and requests to end reach the whole process group, and the training process still needs batches to finish
    # its step; it alone decides when its workers end. A second SIGTERM is its own, for a worker that hangs.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL) and None)
    torch.set_num_threads(1)
