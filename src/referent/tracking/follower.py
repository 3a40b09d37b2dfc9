"""Following objects with a model that takes examples: tensors and preparation only, no files and no checks.

Shape letters: N objects, h x w the frame as the model sees it, H x W its own size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from referent.engine import CHUNK, Encoded, Engine
from referent.models.base import Studied
from referent.preparation import Preparation
from referent.tracking.aggregation import each_alone, inside_means, shared_out
from referent.tracking.memory import Features, Memory
from referent.tracking.objects import Name
from referent.tracking.procedure import Procedure


class Followed(NamedTuple):
    """One frame's answers about N objects.

    Attributes:
        names: of the objects.
        masks: (N, H, W) bool.
        probabilities: (N, H, W) float32 in [0, 1].
        scores: N of them, in [0, 1], as `Segmentation.score`; 1 for masks that were given.
    """

    names: Sequence[Name]
    masks: Tensor
    probabilities: Tensor
    scores: list[float]


class Follower:
    """Objects of one video and what is remembered of each.

    A frame goes through the image encoder once, and all objects through the rest together.

    Args:
        engine: with a model that takes examples.
        preparation: of the frames.
        procedure: by which it decides.
    """

    def __init__(self, engine: Engine, preparation: Preparation, procedure: Procedure) -> None:
        self.engine, self.preparation, self.procedure = engine, preparation, procedure
        self._tokens: dict[Name, Tensor] = {}
        self._memories: dict[Name, Memory] = {}

    def begin(self, name: Name, tokens: Tensor, examples: Sequence[Features] = ()) -> None:
        """One more object, asked about from the next frame on.

        Args:
            name: of the object.
            tokens: (L,) int64 of its phrase; zeros where it has none.
            examples: what `Engine.study` made of each.
        """
        self._tokens[name] = tokens
        self._memories[name] = Memory(tuple(examples))

    def knows(self, name: Name) -> bool:
        """Whether an object has been described or shown."""
        return bool(self._memories[name].first) or bool(self._tokens[name].any())

    def step(self, image: Tensor, size: tuple[int, int], given: Mapping[Name, Tensor]) -> Followed:
        """The next frame.

        Args:
            image: (3, h, w) float32, normalised.
            size: (H, W).
            given: (1, h, w) float masks, 1 on the object, of objects that have begun and that the user shows in this
                very frame; one without any pixel says that the object is not there.

        Returns:
            Answers about all objects that have begun and been shown or described, in that order.
        """
        encoded = self.engine.encode(image[None])
        given = {name: mask.to(self.engine.device) for name, mask in given.items()}
        named = [name for name in self._memories if name in given or self.knows(name)]
        asked = [name for name in named if name not in given]
        found: dict[Name, tuple[Tensor, float]] = {
            name: (self._restored(mask[None], size)[0], 1.0) for name, mask in given.items()
        }
        for start in range(0, len(asked), CHUNK):
            chunk = asked[start : start + CHUNK]
            found.update(zip(chunk, self._answers(encoded, chunk, size), strict=True))
        if not named:
            nothing = torch.zeros(0, *size, device=self.engine.device)
            return Followed([], nothing.bool(), nothing, [])
        probabilities = torch.stack([found[name][0] for name in named])
        masks = (shared_out if self.procedure.rivals else each_alone)(probabilities)
        self._remember(encoded, dict(zip(named, masks, strict=True)), given)
        return Followed(named, masks, probabilities, [found[name][1] for name in named])

    def recall(
        self, image: Tensor, size: tuple[int, int], found: Mapping[Name, Tensor], given: Mapping[Name, Tensor]
    ) -> None:
        """A frame that was answered in an earlier run: remembered, and not asked again.

        Args:
            image, size, given: as in `step`.
            found: (H, W) bool masks that were its answers.
        """
        moved = [{name: mask.to(self.engine.device) for name, mask in masks.items()} for masks in (found, given)]
        self._remember(self.engine.encode(image[None]), *moved)

    def _answers(self, encoded: Encoded, names: Sequence[Name], size: tuple[int, int]) -> list[tuple[Tensor, float]]:
        """Of each object the probabilities (H, W), all zero where it is not there, and the score."""
        references = [(row, one) for row, name in enumerate(names) for one in self._memories[name].references]
        examples = Studied(tuple(one for _, one in references), torch.tensor([row for row, _ in references]))
        tokens = torch.stack([self._tokens[name] for name in names])
        probability, presence = self.engine.answer(
            encoded,
            tokens,
            [0] * len(names),
            examples if references else None,
            full_resolution=self.procedure.full_resolution,
        )
        restored = self._restored(probability, size)
        scores = inside_means(restored, self.preparation.threshold) if presence is None else presence
        if self.procedure.threshold is not None:
            restored = restored * (scores > self.procedure.threshold)[:, None, None]
        return list(zip(restored, scores.tolist(), strict=True))

    def _remember(self, encoded: Encoded, masks: Mapping[Name, Tensor], given: Mapping[Name, Tensor]) -> None:
        """References of this frame, of all objects that are in it."""
        kept = {name: mask for name, mask in given.items() if mask.any()}
        if self.procedure.remembers:
            answered = {name: mask for name, mask in masks.items() if name not in given and mask.any()}
            kept |= {name: self._fitted(mask, encoded) for name, mask in answered.items()}
        names = list(kept)
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            features = self.engine.remember(encoded, torch.stack([kept[name] for name in chunk]))
            for row, name in enumerate(chunk):
                # Cut out, so that no memory holds on to what was encoded beside it.
                own = tuple(tensor[row : row + 1].clone() for tensor in features)
                if name in given:
                    self._memories[name].begin(own)
                else:
                    self._memories[name].see(own)

    def _restored(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, 1, h, w) in [0, 1] -> (N, H, W), by bilinear interpolation where the whole picture is resized."""
        if self.preparation.fit == "shortest":
            return F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)[:, 0]
        return torch.from_numpy(self.preparation.restore(maps, size)).to(self.engine.device)

    def _fitted(self, mask: Tensor, encoded: Encoded) -> Tensor:
        """(H, W) bool -> (1, h, w) float. The official code resizes its own masks as torch does, users' as PIL does."""
        if self.preparation.fit == "shortest":
            return F.interpolate(mask[None, None].float(), encoded.image.shape[-2:], mode="nearest")[0]
        return self.preparation.mask(mask.cpu().numpy()).to(self.engine.device)
