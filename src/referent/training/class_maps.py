"""An auxiliary objective: the image encoder still tells what DeepLabV3's classifier told on it.

An encoder that is trained on a few hundred photographs forgets classes that they seldom show. Asked for the class map
of every training photograph, it keeps them (knowledge distillation: Hinton et al., "Distilling the Knowledge in a
Neural Network", 2015, section 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from referent.data.augment import Augment
from referent.data.letterbox import Letterbox
from referent.encoders.deeplab import DeepLab
from referent.encoders.mobilenet import MobileNetV2
from referent.errors import RecipeError
from referent.picture import read_picture
from referent.training.data_part import Source
from referent.training.part import checked
from referent.training.sources import phrases_of

_BORDER = (127, 127, 127)


class ClassMaps(nn.Module):
    """Draws photographs and compares the encoder's class map, through a linear layer, with the teacher's.

    The linear layer starts as the teacher's classifier and is trained. The encoder is a MobileNetV2 with the teacher's
    head, at its stride or twice that, and must read RGB in [-1, 1], as the teacher does.

    Args:
        teacher: safetensors of DeepLabV3, `encoders.deeplab`.
        sources: as `data.train` of a recipe; their phrases are not read, a photograph counts `weight` times.
        batch: photographs a forward pass.
        size: side of the square they are brought to, in pixels.
        crop: smallest share of each side that a crop keeps.
        temperature: of the softmax over the classes by which teacher and encoder are compared.
        without: numbers of the teacher's classes of which nothing is told; the others share what these leave.

    Raises:
        RecipeError: a source that cannot be understood, or a class that the teacher does not have.
        DataError: a source that cannot be read.
        WeightsError: no such teacher.
    """

    def __init__(
        self,
        teacher: str,
        sources: list[dict[str, Any]],
        batch: int = 4,
        size: int = 320,
        crop: float = 0.5,
        temperature: float = 2.0,
        without: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.teacher = DeepLab(Path(teacher))
        classes, channels = self.teacher.weight.shape[:2]
        unknown = sorted(set(without) - set(range(classes)))
        if unknown:
            expected = f"expected classes from 0 to {classes - 1}"
            raise RecipeError(f"auxiliary class-maps: without: {expected}, found {unknown}")
        self.told = [number for number in range(classes) if number not in without]
        self.classify = nn.Conv2d(channels, classes, 1)
        self.classify.load_state_dict({"weight": self.teacher.weight, "bias": self.teacher.bias})
        self.pictures, chances = _pictures(sources)
        self._up_to: NDArray[np.float64] = np.cumsum(chances) / sum(chances)
        self.augment = Augment(flip=0.5, crop=crop, zoom_out=1.4, affine=0.0, colour=0.25)
        self.batch, self.size, self.temperature = batch, size, temperature

    def losses(self, model: nn.Module, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """`class_maps`: divergence of the encoder's classes from the teacher's, mean over pixels.

        Raises:
            RecipeError: the model has no image encoder like the teacher.
        """
        encoder = getattr(model, "image_encoder", None)
        if not isinstance(encoder, MobileNetV2) or isinstance(encoder.finish, nn.Identity):
            raise RecipeError(
                "auxiliary class-maps: expected a MobileNetV2 with DeepLabV3's head, as the teacher is, found "
                f"{type(encoder).__name__} of {type(model).__name__}"
            )
        image = self.draw(generator).to(next(model.parameters()).device)
        # Where the head's map stands beside another it is the last.
        seen = encoder(image)[-1][:, -self.classify.in_channels :]
        goal = self.teacher.logits(image)
        if seen.shape[-2:] != goal.shape[-2:]:
            goal = _every_second(goal)
        return {"class_maps": self.compare(self.classify(seen), goal)}

    def draw(self, generator: torch.Generator) -> Tensor:
        """(batch, 3, size, size) RGB in [-1, 1]."""
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        numbers = np.searchsorted(self._up_to, rng.random(self.batch)).tolist()
        return torch.stack([self._prepared(self.pictures[number], rng) for number in numbers]) / 127.5 - 1

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Scalar: the Kullback-Leibler divergence of (B, K, h, w) logits from the teacher's, both softened.

        Multiplied by the temperature squared, so that the gradient does not shrink with it (section 2 of the paper).
        """
        goal = (teacher[:, self.told].float() / self.temperature).softmax(1)
        guess = (student[:, self.told].float() / self.temperature).log_softmax(1)
        return F.kl_div(guess, goal, reduction="none").sum(1).mean() * self.temperature**2

    def _prepared(self, path: Path, rng: np.random.Generator) -> Tensor:
        picture, _, _ = self.augment(read_picture(path), [], [], rng)
        return Letterbox((picture.height, picture.width), self.size).picture(np.asarray(picture), _BORDER)


def _every_second(fine: Tensor) -> Tensor:
    """(B, K, h, w) -> (B, K, ceil(h / 2), ceil(w / 2)): the pixels that a stride under TensorFlow's padding leaves."""
    height, width = fine.shape[-2:]
    return fine[..., (height + 1) % 2 :: 2, (width + 1) % 2 :: 2]


def _pictures(sources: list[dict[str, Any]]) -> tuple[list[Path], list[float]]:
    """Every photograph of the sources, and how many times it counts."""
    weights: dict[Path, float] = {}
    for number, entry in enumerate(sources):
        source = checked(f"auxiliary class-maps: sources.{number}", Source, entry)
        for picture in dict.fromkeys(sample.picture for sample in phrases_of(source).samples):
            weights[picture] = weights.get(picture, 0.0) + source.weight
    if not weights:
        raise RecipeError("auxiliary class-maps: sources: expected at least one, found none")
    return list(weights), list(weights.values())
