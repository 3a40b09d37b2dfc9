"""Isolated proposal scoring: how well a text fits each proposal, by the sum of several CLIPs' logits (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from referent.caching import ByteBoundCache
from referent.errors import ReferentError
from referent.grounding.features import ImageTextModel, ProposalEncoder
from referent.models.reclip.geometry import Boxes

if TYPE_CHECKING:
    from referent.encoders.tokenizers import ClipTokenizer

Aggregator = Literal["sum", "max"]
PROMPT = "a photo of {}"
SHADED_PROMPT = "{} is in red color."
TEXT_BYTES = 16 * 2**20


class ProposalScorer:
    """The text side of isolated proposal scoring.

    Args:
        encoder: the image side; holds the models. With shaded proposals every text speaks of the red colour.
        aggregator: how the logits of several kinds of isolation become one; those of several models are always
            summed, and first.
    """

    def __init__(self, encoder: ProposalEncoder, aggregator: Aggregator = "sum") -> None:
        self.encoder, self.aggregator = encoder, aggregator
        self.prompt = SHADED_PROMPT if "shade" in encoder.kinds else PROMPT
        self._texts: ByteBoundCache[list[Tensor]] = ByteBoundCache(TEXT_BYTES)

    def look_at(self, picture: Image.Image, boxes: Boxes) -> ScoredPicture:
        """The proposals of a picture, encoded once and asked many times; see `ProposalEncoder.encode`."""
        return ScoredPicture(self, self.encoder.encode(picture, boxes))

    def text_vectors(self, text: str) -> list[Tensor]:
        """One (E,) float32 a model; a text longer than its window is cut there."""
        prompted = self.prompt.format(text.lower())
        known = self._texts.get(prompted)
        if known is None:
            known = [self._vector(model, prompted) for model in self.encoder.models]
            self._texts.put(prompted, known, sum(vector.nbytes for vector in known))
        return known

    def truncated(self, text: str) -> bool:
        """Whether a text is longer than the window of one of the models."""
        shortest = min(model.context for model in self.encoder.models)
        return _tokenizer().count(self.prompt.format(text.lower())) > shortest - 2

    def _vector(self, model: ImageTextModel, prompted: str) -> Tensor:
        encoder = self.encoder
        tokens = _tokenizer()([prompted], model.context).to(encoder.device)
        with torch.inference_mode(), torch.autocast(encoder.device.type, encoder.dtype, encoder.dtype != torch.float32):
            return model.encode_texts(tokens)[0].float()


class ScoredPicture:
    """One picture's proposals; `ProposalScorer.look_at` makes it.

    Args:
        scorer: the text side.
        features: one (kinds, n, E) a model.
    """

    def __init__(self, scorer: ProposalScorer, features: Sequence[Tensor]) -> None:
        self.scorer, self.features = scorer, features

    @property
    def nbytes(self) -> int:
        """Memory held."""
        return sum(features.nbytes for features in self.features)

    def __call__(self, text: str) -> NDArray[np.float32]:
        """(n,) summed logits of a text, without its prompt.

        Raises:
            ReferentError: a score is not a number: the weights or the picture's features are damaged.
        """
        models, vectors = self.scorer.encoder.models, self.scorer.text_vectors(text)
        with torch.inference_mode():
            by_kind = sum(
                model.scale.float() * (features @ vector)
                for model, features, vector in zip(models, self.features, vectors, strict=True)
            )
            assert isinstance(by_kind, Tensor)
            scores = by_kind.sum(0) if self.scorer.aggregator == "sum" else by_kind.amax(0)
        found: NDArray[np.float32] = scores.cpu().numpy()
        if not np.isfinite(found).all():
            names = ", ".join(model.name for model in models)
            raise ReferentError(f"{names}: a score of {text!r} is not a number; the weights are damaged")
        return found


@cache
def _tokenizer() -> ClipTokenizer:
    from referent.encoders.tokenizers import ClipTokenizer

    return ClipTokenizer()
