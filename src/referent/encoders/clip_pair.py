"""CLIP as its authors use it: pictures and texts as vectors of one space."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig
from referent.encoders.clip_weights import CLIPWeights, load_clip_image, load_clip_text, read_clip

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class CLIPPair(nn.Module):
    """Both encoders of one CLIP.

    Args:
        weights: as read by `read_clip`.
        name: what to call it.

    Attributes:
        size: side of the square pictures that it was trained on, in pixels.
        context: tokens a text, both markers included.
        mean, std: of the RGB channels in [0, 1].
    """

    mean = CLIP_MEAN
    std = CLIP_STD

    def __init__(self, weights: CLIPWeights, name: str) -> None:
        super().__init__()
        self.name = name
        resnet = isinstance(weights.image, CLIPResNetConfig)
        self.image: CLIPResNet | CLIPViT = CLIPResNet(weights.image) if resnet else CLIPViT(weights.image)  # type: ignore[arg-type]
        self.text = CLIPTextEncoder(weights.text)
        load_clip_image(self.image, weights)
        load_clip_text(self.text, weights)
        self.size = weights.image.grid * self.image.strides[-1]
        self.context = weights.text.context
        self.eval()

    @classmethod
    def read(cls, source: str | Path) -> CLIPPair:
        """The CLIP of a file, folder or hub id.

        Raises:
            WeightsError: see `read_clip`.
        """
        return cls(read_clip(source), Path(source).name)

    @property
    def scale(self) -> Tensor:
        """What a cosine is multiplied by to make a logit; about 100 in every published CLIP."""
        return self.text.logit_scale.exp()

    def encode_images(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) normalised pictures -> (B, E) of length 1."""
        return F.normalize(self.image.vector(images), dim=-1)

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(N, L) ids, L at most `context` -> (N, E) of length 1."""
        return F.normalize(self.text(tokens)[1], dim=-1)

    def digest(self) -> str:
        """SHA-256 over the image encoder's weights, whatever file they came from."""
        total = hashlib.sha256()
        for name, value in sorted(self.image.state_dict().items()):
            if not name.startswith("finish.connect."):  # random: CRIS's, not CLIP's
                total.update(name.encode())
                total.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return total.hexdigest()
