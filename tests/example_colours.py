"""A model that finds the colour of an example, for tests of everything that asks by examples."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from referent.models.base import Batch, Output, SegmentationModel
from referent.preparation import Preparation
from referent.segmenter import Segmenter

COLOURS = ("red", "green", "blue")
PREPARATION = Preparation.model_validate(
    {"size": 128, "mean": (0, 0, 0), "std": (1, 1, 1), "border": (0, 0, 0), "context_length": 8, "threshold": 0.5}
)


class ShownColourModel(SegmentationModel):
    """Finds pure colours that are named or shown; of several examples the colour of their mean."""

    def __init__(self, phrases: bool = True) -> None:
        super().__init__()
        self.reference_kinds = frozenset({"phrase", "example"} if phrases else {"example"})
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.studied = 0

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image.clone(),)

    def study(self, image: Tensor, mask: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        self.studied += len(image)
        return ((image * mask).sum((2, 3)) / mask.sum((2, 3)),)

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        ids = PREPARATION.tokens(COLOURS)[:, 1]
        asked = (batch.tokens[:, :, None] == ids).any(dim=1).float()
        if batch.examples is not None:
            shown = torch.cat([features for (features,) in batch.examples.features])
            sums = torch.zeros(len(asked), 3).index_add(0, batch.examples.reference, shown)
            asked = asked + one_hot(sums.argmax(1), 3) * (sums.sum(1, keepdim=True) > 0)
        pixels = sight[0][batch.picture]
        own = (pixels * asked.clamp(max=1)[:, :, None, None]).sum(1, keepdim=True)
        return Output(20 * (2 * own - pixels.sum(1, keepdim=True) - 0.5))

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        raise NotImplementedError


def shown_colours(phrases: bool = True) -> Segmenter:
    return Segmenter(ShownColourModel(phrases), PREPARATION, "shown-colours", device="cpu")
