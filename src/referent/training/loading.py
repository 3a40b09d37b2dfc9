"""From samples on disk to batches of tensors, in worker processes.

What costs a worker time is the size of a picture (decoding, warping it and its masks), and what costs the text
encoder time is the longest phrase of a batch. Both differ from item to item by an order of magnitude, so a step's items
are dealt to the processes and accumulation passes by cost, and the token window is cut to the longest phrase present,
unless the model reads padding.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from referent.data.sample import Sample
from referent.errors import RecipeError, ReferentError
from referent.models.base import Batch, Boxes
from referent.picture import read_picture
from referent.rle import RLE, decode
from referent.segmentation import box_of
from referent.training.order import Order, Visit, deal

if TYPE_CHECKING:
    from PIL import Image

    from referent.preparation import Preparation

Triple: TypeAlias = "tuple[Image.Image, list[NDArray[np.bool_]], list[str]]"
Augmentation: TypeAlias = "Callable[[Image.Image, list[NDArray[np.bool_]], list[str], np.random.Generator], Triple]"


@dataclass(frozen=True)
class Item:
    """What a batch counts: samples that share one picture (and, with `group: target`, one target).

    Attributes:
        samples: at least one.
        phrases: how many of them a visit shows.
        present: how many of those are true of something, where as many are.
    """

    samples: tuple[Sample, ...]
    phrases: int
    present: int = 0

    @property
    def cost(self) -> float:
        """Pixels of the picture, which decide how long loading takes."""
        height, width = self.samples[0].size
        return float(height * width)

    def draw(self, generator: np.random.Generator) -> list[Sample]:
        """`phrases` samples: all different where there are enough, each at least once where there are not."""
        chosen: list[int] = []
        while len(chosen) < self.phrases:
            chosen += generator.permutation(len(self.samples)).tolist()
        if self.present:
            true = [index for index in dict.fromkeys(chosen) if self.samples[index].targets][: self.present]
            for index in true:
                chosen.remove(index)
            chosen = true + chosen
        return [self.samples[index] for index in chosen[: self.phrases]]


def gather(samples: Sequence[Sample], group: str, phrases: int, present: int = 0) -> list[Item]:
    """Samples grouped into items, in the order of each item's first sample.

    Args:
        samples: of one source.
        group: "target" puts together all phrases of the same masks in the same picture; "picture" all of a picture.
        phrases: samples a visit shows.
        present: how many of those are true of something, where as many are.

    Raises:
        RecipeError: a sample without a phrase.
    """
    groups: dict[tuple[str, ...], list[Sample]] = {}
    for sample in samples:
        if sample.reference.phrase is None:
            raise RecipeError(f"sample {sample.id}: training takes phrases, found an example")
        masks = sorted(target["counts"] for target in sample.targets) if group == "target" else []
        groups.setdefault((str(sample.picture), *masks), []).append(sample)
    return [Item(tuple(members), phrases, present) for members in groups.values()]


class Batches(TorchDataset[Batch]):
    """Every batch of a training, by (step, part).

    Args:
        items: of all sources, one after the other, as `order` counts them.
        order: which items make up a step.
        preparation: pictures, masks and phrases to tensors.
        augment: changes picture, masks and phrases together before preparation, or None.
        parts: batches a step is cut into: processes x accumulation passes.
        trimmed: cut token windows to the longest phrase present; not for a model that reads padding.
        boxed: give the boxes of the targets too, crowds left out; for a model that learns from them.
    """

    def __init__(
        self,
        items: Sequence[Item],
        order: Order,
        preparation: Preparation,
        augment: Augmentation | None,
        parts: int,
        trimmed: bool = True,
        boxed: bool = False,
    ) -> None:
        self.items, self.order, self.preparation = items, order, preparation
        self.augment, self.parts, self.trimmed, self.boxed = augment, parts, trimmed, boxed

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        step, part = key
        visits = self.order.visits(step)
        hand = deal([self.items[visit.item].cost for visit in visits], self.parts)[part]
        loaded = [self._load(visits[position]) for position in hand]
        counts = torch.tensor([len(one.ids) for one in loaded])
        tokens = torch.cat([one.tokens for one in loaded])
        return Batch(
            image=torch.stack([one.image for one in loaded]),
            tokens=trim(tokens) if self.trimmed else tokens,
            picture=torch.repeat_interleave(torch.arange(len(loaded)), counts),
            target=torch.cat([one.target for one in loaded]),
            ids=tuple(name for one in loaded for name in one.ids),
            boxes=_joined([one.boxes for one in loaded], counts) if self.boxed else None,
        )

    def _load(self, visit: Visit) -> _Loaded:
        item = self.items[visit.item]
        generator = visit.generator(self.order.seed)
        samples = item.draw(generator)
        picture = read_picture(item.samples[0].picture)
        masks = [sample.mask() for sample in samples]
        things = [
            (row, decode(thing)) for row, sample in enumerate(samples) for thing in _counted(sample) if self.boxed
        ]
        phrases = [str(sample.reference.phrase) for sample in samples]
        if self.augment is not None:
            every = [*masks, *(mask for _, mask in things)]
            picture, every, phrases = self.augment(picture, every, phrases, generator)
            masks, changed = every[: len(masks)], every[len(masks) :]
            things = [(row, mask) for (row, _), mask in zip(things, changed, strict=True)]
        return _Loaded(
            image=self.preparation.picture(picture),
            tokens=self.preparation.tokens(phrases),
            target=torch.stack([self.preparation.mask(mask) for mask in masks]),
            ids=[sample.id for sample in samples],
            boxes=self._boxes(things, (picture.height, picture.width)),
        )

    def _boxes(self, things: Sequence[tuple[int, NDArray[np.bool_]]], size: tuple[int, int]) -> Boxes:
        """Boxes of (row, mask) pairs; what an augmentation has cut away has none."""
        found = [(row, box) for row, mask in things if (box := box_of(mask)) is not None]
        corners = torch.tensor([box for _, box in found], dtype=torch.float32).reshape(-1, 4)
        return Boxes(self.preparation.boxes(corners, size), torch.tensor([row for row, _ in found], dtype=torch.int64))


@dataclass(frozen=True)
class _Loaded:
    """One visit's part of a batch; `boxes` count its own references from 0."""

    image: Tensor
    tokens: Tensor
    target: Tensor
    ids: list[str]
    boxes: Boxes


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
    used = int((tokens != 0).any(dim=0).nonzero().max()) + 1
    return tokens[:, :used]


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
