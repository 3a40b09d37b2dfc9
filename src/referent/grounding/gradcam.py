"""The GradCAM baseline: a proposal's score is how much of a text's logit comes from inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from referent.encoders.clip_pair import CLIPPair
from referent.models.reclip.geometry import Boxes, areas
from referent.models.reclip.gradcam import Sight

ALPHA = 0.5
"""Power of the proposal's area that a sum over it is divided by; tuned by the authors on RefCOCOg."""


class GradCamPicture:
    """One picture's proposals, asked like a `ScoredPicture`.

    Args:
        models: on their device.
        text_vectors: one (E,) a model for a text.
        picture: RGB.
        boxes: (n, 4) x, y, width, height; none without area.
        alpha: see `ALPHA`. The paper divides by the area of the picture, which would change nothing; this is
            what the official code does.
    """

    def __init__(
        self,
        models: Sequence[CLIPPair],
        text_vectors: Callable[[str], list[Tensor]],
        picture: Image.Image,
        boxes: Boxes,
        alpha: float = ALPHA,
    ) -> None:
        self.models, self.text_vectors, self.alpha = models, text_vectors, alpha
        self.boxes, self.size = boxes, (picture.height, picture.width)
        self.sights = [Sight(model.image, _square(model, picture)) for model in models]

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(sight.nbytes for sight in self.sights)

    def __call__(self, text: str) -> NDArray[np.float32]:
        """(n,) scores, the mean over the models."""
        vectors = self.text_vectors(text)
        scores = np.stack(
            [
                self._pooled(sight.map(vector.clone(), model.scale))
                for model, sight, vector in zip(self.models, self.sights, vectors, strict=True)
            ]
        )
        found: NDArray[np.float32] = scores.mean(axis=0).astype(np.float32)
        return found

    def _pooled(self, small: Tensor) -> NDArray[np.float64]:
        """The map's sum in each box over a power of the box's area; box edges cut to whole pixels."""
        full = F.interpolate(small[None, None], self.size, mode="bicubic", align_corners=False)[0, 0]
        sums = np.zeros((self.size[0] + 1, self.size[1] + 1))
        sums[1:, 1:] = full.double().cpu().numpy().cumsum(0).cumsum(1)
        corners = np.concatenate([self.boxes[:, :2], self.boxes[:, :2] + self.boxes[:, 2:]], axis=1).astype(int)
        left, right = (np.clip(corners[:, side], 0, self.size[1]) for side in (0, 2))
        top, bottom = (np.clip(corners[:, side], 0, self.size[0]) for side in (1, 3))
        inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        pooled: NDArray[np.float64] = inside / areas(self.boxes) ** self.alpha
        return pooled


def _square(model: CLIPPair, picture: Image.Image) -> Tensor:
    side = (model.size, model.size)
    pixels = torch.from_numpy(np.array(picture.resize(side, Image.Resampling.BICUBIC))).permute(2, 0, 1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    device = next(model.parameters()).device
    return ((pixels / 255 - mean) / std)[None].to(device)
