"""From a user's picture and phrases to a model's tensors, and from a model's maps back to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from referent.data.letterbox import Letterbox

if TYPE_CHECKING:
    from PIL import Image

    from referent.encoders.tokenizers import ClipTokenizer

_Grey = Annotated[int, Field(ge=0, le=255)]
_Spread = Annotated[float, Field(gt=0)]


class Preparation(BaseModel):
    """How a model wants its pictures and phrases. The defaults are the published CRIS for RefCOCO.

    Attributes:
        size: side of the square the picture is letterboxed into, in pixels.
        mean, std: of the RGB channels in [0, 1]; CLIP's.
        border: RGB around the picture; CLIP's mean in grey levels.
        context_length: tokens a phrase, start and end included; longer phrases are cut (CRIS on RefCOCOg: 22).
        tokenizer: which vocabulary.
        threshold: a pixel whose probability is greater belongs to the mask.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(416, gt=0)
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[_Spread, _Spread, _Spread] = (0.26862954, 0.26130258, 0.27577711)
    border: tuple[_Grey, _Grey, _Grey] = (123, 117, 104)
    context_length: int = Field(17, ge=3)
    tokenizer: Literal["clip"] = "clip"
    threshold: float = Field(0.35, gt=0, lt=1)

    @property
    def geometry(self) -> str:
        """How a picture is fitted to the model, in the words in which evaluation protocols name it."""
        return f"letterbox {self.size}"

    def picture(self, picture: Image.Image) -> Tensor:
        """An RGB picture to (3, size, size) float32, normalised."""
        pixels = np.asarray(picture)
        warped = Letterbox(pixels.shape[:2], self.size).picture(pixels, self.border)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (warped / (255 * std)).sub_(mean / std)

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """(H, W) bool to (1, size, size) float32 in [0, 1], 0 around the picture."""
        return Letterbox((mask.shape[0], mask.shape[1]), self.size).mask(mask)[None]

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """N phrases to (N, context_length) int64, zero padded; one too long is cut, its last token the end mark."""
        return _tokenizer()(texts, self.context_length)

    def truncated(self, text: str) -> bool:
        """Whether the end of `text` does not fit the token window, so that the model will not see it."""
        return _tokenizer().count(text) > self.context_length - 2

    def restore(self, probability: Tensor, original_size: tuple[int, int]) -> NDArray[np.float32]:
        """Probabilities over the square, back on the picture.

        Args:
            probability: (N, 1, h, w) float in [0, 1], any device; any h and w that cover the square.
            original_size: (H, W) of the picture.

        Returns:
            (N, H, W) float32 in [0, 1].
        """
        restored = Letterbox(original_size, self.size).restore(probability)
        return restored.cpu().numpy()


@cache
def _tokenizer() -> ClipTokenizer:
    from referent.encoders.tokenizers import ClipTokenizer

    return ClipTokenizer()
