"""What every trained model takes and returns.

Models see tensors only: no paths, no PIL, no tokenizer, no device choice.

Shape letters: B pictures, N references, L tokens, M examples, H x W the input size, h x w the size of the mask logits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Examples:
    """M pictures with masks, by which references point; a reference may have several, and others none.

    Attributes:
        image: (M, 3, h, w) float, normalised as the pictures are.
        mask: (M, 1, h, w) float, 1 on the target and 0 elsewhere.
        reference: (M,) int64, row of the reference that each belongs to.
        sizes: (M, 2) int64 as `Batch.sizes`.
    """

    image: Tensor
    mask: Tensor
    reference: Tensor
    sizes: Tensor | None = None


@dataclass(frozen=True)
class Studied:
    """M examples as a model has encoded them (`SegmentationModel.study`), to be used again and again.

    Attributes:
        features: M of what `study` returned for one example each.
        reference: (M,) int64, row of the reference that each belongs to.
    """

    features: tuple[tuple[Tensor, ...], ...]
    reference: Tensor


@dataclass(frozen=True)
class Boxes:
    """T boxes that references are true of; a reference may have several, and others none.

    Attributes:
        corners: (T, 4) float, x0, y0, x1, y1 in pixels of the batch's pictures.
        reference: (T,) int64, row of the reference that each belongs to.
        label: (T,) int64, class of what is in each; None where references are phrases, which say it.
        mask: (T, H, W) bool, True on what is in each; None where boxes are all there is.
    """

    corners: Tensor
    reference: Tensor
    label: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Prepared:
    """How the B pictures of a batch came out of their files, for losses that look at colours.

    Attributes:
        mean, std: (3,) float, by which RGB in [0, 1] was normalised.
        scale: (B,) float, each picture's height in the batch by its height in the file.
    """

    mean: Tensor
    std: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Candidates:
    """P places of a picture, each with a box that may be one of a reference's.

    Attributes:
        corners: (N, P, 4) float, x0, y0, x1, y1 in pixels of the batch's pictures.
        score: (N, P) logit that the reference is true of what is here.
        centre: (N, P) logit of how near the box's centre this place is.
        places: (P, 3) float: x and y in pixels, and the pixels between this place and its neighbours.
    """

    corners: Tensor
    score: Tensor
    centre: Tensor
    places: Tensor

    @property
    def probability(self) -> Tensor:
        """(N, P) in [0, 1], by which boxes are ranked: the geometric mean of both."""
        return (self.score.sigmoid() * self.centre.sigmoid()).sqrt()


@dataclass(frozen=True)
class Found:
    """Objects that a detector finds in one picture without being asked, best first.

    Attributes:
        corners: (P, 4) float, x0, y0, x1, y1 in pixels of the batch's picture.
        score: (P,) in [0, 1].
        label: (P,) int64, their classes.
    """

    corners: Tensor
    score: Tensor
    label: Tensor


@dataclass(frozen=True)
class Batch:
    """B pictures and N references about them; one picture may carry many references.

    Attributes:
        image: (B, 3, H, W) float, normalised.
        tokens: (N, L) int64 token ids, zero padded; all zero where a reference has no phrase.
        picture: (N,) int64, row of `image` that each reference is about.
        target: (N, 1, H, W) float in [0, 1], all zero where nothing is meant; None outside training.
        ids: N sample ids, for error messages and logs.
        examples: what references point with beside phrases, or None; for models that take them.
        sizes: (B, 2) int64, height and width of each picture, which begins at the top left of its row of `image` and
            has zeros around it; None where every picture fills its row. For models that take pictures of any size.
        boxes: what models that answer with boxes learn from; None for all others.
        prepared: in detection; None elsewhere.
        step: optimiser steps done before this batch, for losses that change as a training goes on.
        full_resolution: enlarge masks, and compare them in training, pixel by pixel, as the official UniRef++ does
            where it follows masks through videos; no other model reads it.
    """

    image: Tensor
    tokens: Tensor
    picture: Tensor
    target: Tensor | None = None
    ids: tuple[str, ...] = ()
    examples: Examples | Studied | None = None
    sizes: Tensor | None = None
    boxes: Boxes | None = None
    prepared: Prepared | None = None
    step: int = 0
    full_resolution: bool = False

    @classmethod
    def paired(cls, image: Tensor, tokens: Tensor, target: Tensor | None = None) -> Batch:
        """A batch with exactly one reference a picture, in order."""
        return cls(image, tokens, torch.arange(len(image), device=image.device), target)

    def per_reference(self, per_picture: Tensor) -> Tensor:
        """(B, ...) to (N, ...): each reference's own picture's row.

        Where every picture has equally many references, side by side, rows are expanded and not gathered: the same
        numbers, without a copy for one picture and with a much cheaper gradient.
        """
        pictures, references = len(per_picture), len(self.picture)
        each, rest = divmod(references, pictures)
        if torch.compiler.is_compiling() or rest:  # an exported graph must not depend on the indices' values
            return per_picture.index_select(0, self.picture)
        regular = torch.arange(pictures, device=self.picture.device).repeat_interleave(each)
        if not torch.equal(self.picture, regular):
            return per_picture.index_select(0, self.picture)
        if per_picture.dim() == 4 and per_picture.is_contiguous(memory_format=torch.channels_last):
            return _each_repeated(per_picture.permute(0, 2, 3, 1), each).permute(0, 3, 1, 2)
        return _each_repeated(per_picture, each)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        moved: Batch = _moved(self, device)
        return moved


def _moved(value: Any, device: torch.device | str) -> Any:
    """Tensors, and whatever holds some, on `device`; everything else as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(item, device) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _moved(getattr(value, f.name), device) for f in fields(value)})
    return value


def _each_repeated(rows: Tensor, times: int) -> Tensor:
    return rows[:, None].expand(-1, times, *rows.shape[1:]).flatten(0, 1)


@dataclass(frozen=True)
class Output:
    """What a model says of N references.

    Attributes:
        logits: (N, 1, h, w) mask logits; probability = sigmoid.
        presence: (N,) logit that the phrase is true of anything in the picture, or None for a model without such a
            head (its score is then read off the mask).
        taps: named intermediate tensors that the model's own losses need.
        label: (N,) logit to be compared with those of the other references to the same picture: which of these names
            the picture? None for a model without such a head.
        boxes: None for a model that answers with masks alone.
    """

    logits: Tensor
    presence: Tensor | None = None
    taps: dict[str, Tensor] = field(default_factory=dict)
    label: Tensor | None = None
    boxes: Candidates | None = None


class SegmentationModel(nn.Module, ABC):
    """A trained system that turns pictures and references into mask logits.

    The work is split so that a picture is encoded once and asked many times: `look_at` does all that depends on the
    picture alone, `answer` the rest. A model that fuses text early (ETRIS, MagNet) does less in `look_at`.
    """

    reference_kinds: frozenset[str] = frozenset({"phrase"})
    # Whether batch norms whose parameters are frozen go on following the batches in training.
    drifting_statistics: bool = False
    # Whether padding changes the answer, so that phrases must be padded as they were in training.
    reads_padding: bool = False
    # Whether it answers with boxes beside masks (`Output.boxes`), and learns from `Batch.boxes`.
    gives_boxes: bool = False
    # Whether it says which of several names is a picture's (`Output.label`).
    gives_labels: bool = False
    # Classes of objects that it finds without being asked (`detect`): 1 for one that does not tell them apart.
    classes: int = 0

    @abstractmethod
    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """Everything that depends on the picture alone.

        Args:
            image: (B, 3, H, W) float, normalised.

        Returns:
            Tensors whose first dimension is B; opaque to the caller, handed back to `answer`.
        """

    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        """Everything that depends on examples alone; only for models that take them.

        Args:
            image, mask, sizes: as in `Examples`.

        Returns:
            Tensors whose first dimension is M; opaque to the caller, handed back in `Studied`.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no examples")

    def remember(self, sight: tuple[Tensor, ...], image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """`study` of M masks on one picture that has been looked at.

        Args:
            sight: of `look_at(image)`.
            image: (1, 3, H, W) float, normalised.
            mask: (M, 1, H, W) float, 1 on the target.
        """
        return self.study(image.expand(len(mask), -1, -1, -1), mask)

    def detect(self, image: Tensor, sizes: Tensor | None = None) -> list[Found]:
        """Everything in each of B pictures; only for models with `classes`.

        Args:
            image, sizes: as in `Batch`.
        """
        raise NotImplementedError(f"{type(self).__name__} finds what it is asked for")

    @abstractmethod
    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of the N references of `batch`, given what `look_at` returned for its B pictures
        (`batch.image` is not read)."""

    def forward(self, batch: Batch) -> Output:
        """`answer(look_at(batch.image), batch)`."""
        return self.answer(self.look_at(batch.image), batch)

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 416) -> SegmentationModel:
        """A form of this model that answers faster on a CPU; the model itself where there is none.

        Args:
            dtype: float32, or bfloat16 where speed matters more than the last digits.
            size: side of the pictures for which algorithms may be chosen.

        Returns:
            A model for `look_at` and `answer` that shares or copies these weights as they are now. One that is not
            this model itself chooses its own precision and must not run under autocast.
        """
        return self

    @abstractmethod
    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """Named scalar losses, unweighted; the recipe holds the weights. Needs `batch.target`."""
