"""From a user's picture and phrases to a model's tensors, and from a model's maps back to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from referent.data.letterbox import Letterbox
from referent.data.shortest import Shortest
from referent.data.squash import Squash

if TYPE_CHECKING:
    from PIL import Image

    from referent.encoders.tokenizers import Tokenizer

# What the official UniRef++ deletes, and what it reads as a space.
_CLEANED = str.maketrans("-/", "  ", ".,'!?\"()*#:;")
_Grey = Annotated[int, Field(ge=0, le=255)]
_Spread = Annotated[float, Field(gt=0)]


class Preparation(BaseModel):
    """How a model wants its pictures and phrases. The defaults are the published CRIS for RefCOCO.

    Attributes:
        size: side of the square that the model sees, in pixels; with "shortest", of the picture's shortest side.
        fit: how the picture gets into the square: "letterbox" keeps its proportions and leaves a border, "squash" fills
            the square. With "shortest" there is no square: the picture keeps its proportions and has no border.
        longest: with "shortest", which the picture's longest side may not pass; None otherwise.
        frames: with "shortest", `size` and `longest` for the frames of a video, where others than for pictures.
        mean, std: of the RGB channels in [0, 1]; CLIP's.
        border: RGB around a letterboxed picture; CLIP's mean in grey levels.
        context_length: tokens a phrase, start and end included; longer phrases are cut (CRIS on RefCOCOg: 22).
        tokenizer: "clip", whose vocabulary everybody has, or "bert" with a `vocabulary`.
        vocabulary: BERT's word pieces in the order of their ids; None with "clip".
        clean: read phrases in lower case, without punctuation, and hyphens and slashes as spaces, as UniRef++ does.
        threshold: a pixel whose probability is greater belongs to the mask.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(416, gt=0)
    fit: Literal["letterbox", "squash", "shortest"] = "letterbox"
    longest: int | None = Field(default=None, gt=0)
    frames: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[_Spread, _Spread, _Spread] = (0.26862954, 0.26130258, 0.27577711)
    border: tuple[_Grey, _Grey, _Grey] = (123, 117, 104)
    context_length: int = Field(17, ge=3)
    tokenizer: Literal["clip", "bert"] = "clip"
    vocabulary: tuple[str, ...] | None = Field(default=None, repr=False)
    clean: bool = False
    threshold: float = Field(0.35, gt=0, lt=1)

    @model_validator(mode="after")
    def _vocabulary_of_bert(self) -> Preparation:
        if (self.vocabulary is not None) != (self.tokenizer == "bert"):
            raise ValueError('vocabulary: expected one with tokenizer "bert", and none with "clip"')
        return self

    @model_validator(mode="after")
    def _longest_of_shortest(self) -> Preparation:
        if (self.longest is not None) != (self.fit == "shortest"):
            raise ValueError(f'longest: expected one with fit "shortest" only, found {self.longest} with "{self.fit}"')
        if self.frames is not None and self.longest is None:
            raise ValueError(f'frames: expected with fit "shortest" only, found {self.frames} with "{self.fit}"')
        return self

    @property
    def geometry(self) -> str:
        """How a picture is fitted to the model, in the words in which evaluation protocols name it."""
        return f"{self.fit} {self.size}" if self.longest is None else f"{self.fit} {self.size}/{self.longest}"

    def fitted_to(self, size: int, longest: int) -> Preparation:
        """The same for pictures of another size; with "shortest"."""
        return self.model_copy(update={"size": size, "longest": longest, "frames": None})

    def picture(self, picture: Image.Image) -> Tensor:
        """An RGB picture to (3, size, size) float32, normalised; with "shortest", (3, h, w)."""
        pixels = np.asarray(picture)
        fitted = self._fitted((pixels.shape[0], pixels.shape[1])).picture(pixels, self.border)
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (fitted / (255 * std)).sub_(mean / std)

    def mask(self, mask: NDArray[np.bool_]) -> Tensor:
        """(H, W) bool to (1, size, size) float32 in [0, 1], 0 around the picture; with "shortest", (1, h, w)."""
        return self._fitted((mask.shape[0], mask.shape[1])).mask(mask)[None]

    def boxes(self, corners: Tensor, original_size: tuple[int, int]) -> Tensor:
        """(T, 4) boxes x0, y0, x1, y1 in pixels of a picture of (H, W), as float32 in pixels of the square."""
        factors, shifts = (torch.tensor([*pair, *pair]) for pair in self._fitted(original_size).edges)
        return corners.float() * factors + shifts

    def restore_boxes(self, corners: Tensor, original_size: tuple[int, int]) -> Tensor:
        """The way back from `boxes`; what lies beyond the picture is cut off."""
        factors, shifts = (torch.tensor([*pair, *pair]) for pair in self._fitted(original_size).edges)
        height, width = original_size
        limits = torch.tensor([width, height, width, height], dtype=torch.float32)
        return ((corners.float().cpu() - shifts) / factors).clamp_(min=0).minimum(limits)

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """N phrases to (N, context_length) int64, zero padded; one too long is cut."""
        return self.words([self._read(text) for text in texts], self.context_length)

    def truncated(self, text: str) -> bool:
        """Whether the end of `text` does not fit the token window, so that the model will not see it."""
        return self.words.cuts(self._read(text), self.context_length)

    def restore(self, probability: Tensor, original_size: tuple[int, int]) -> NDArray[np.float32]:
        """Probabilities over the square, back on the picture.

        Args:
            probability: (N, 1, h, w) float in [0, 1], any device; any h and w that cover the square.
            original_size: (H, W) of the picture.

        Returns:
            (N, H, W) float32 in [0, 1].
        """
        return self._fitted(original_size).restore(probability).cpu().numpy()

    @cached_property
    def words(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            WeightsError: the vocabulary is not BERT's.
        """
        from referent.encoders.tokenizers import BertTokenizer, ClipTokenizer

        return ClipTokenizer() if self.vocabulary is None else BertTokenizer(self.vocabulary)

    def _read(self, text: str) -> str:
        return text.lower().translate(_CLEANED) if self.clean else text

    def _fitted(self, original_size: tuple[int, int]) -> Letterbox | Squash | Shortest:
        if self.longest is not None:
            return Shortest(original_size, self.size, self.longest)
        return (Letterbox if self.fit == "letterbox" else Squash)(original_size, self.size)
