"""A CLIP small enough to ship: MobileNetV2 and a short text transformer into one space.

Not a published system. Both towers are aimed at CLIP's own text vectors (see `examples/clip_pocket`), so that a picture
of a cat, "cat" and "kitten" land near each other. It stands where `CLIPPair` stands in isolated proposal scoring.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from referent import weights
from referent.encoders.clip import CLIPTextEncoder
from referent.encoders.clip_config import CLIPTextConfig
from referent.encoders.clip_pair import CLIPPair
from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config
from referent.errors import WeightsError

FAMILY = "clip-pocket"
"""Of the weight file's header, and the name of the one in the package."""


class CLIPPocketConfig(BaseModel):
    """Sizes of a pocket CLIP.

    Attributes:
        size: side of the square input in pixels.
        text: its text tower; `embed` is the width of the shared space.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int = Field(default=128, gt=0, multiple_of=32)
    text: CLIPTextConfig = CLIPTextConfig(width=192, layers=4, heads=6, context=22, embed=512)


class CLIPPocket(nn.Module):
    """Both towers; see `ImageTextModel` of `grounding.features`.

    Args:
        config: sizes.
        name: what to call it.

    Attributes:
        size: side of the square input in pixels.
        context: tokens a text, both markers included.
        mean, std: of the RGB channels in [0, 1].
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(self, config: CLIPPocketConfig, name: str = FAMILY) -> None:
        super().__init__()
        self.config, self.name = config, name
        self.size, self.context = config.size, config.text.context
        self.image = MobileNetV2(MobileNetV2Config(deeplab=False))
        self.project = nn.Linear(self.image.channels[-1], config.text.embed)
        self.text = CLIPTextEncoder(config.text)

    @classmethod
    def load(cls, path: str | Path) -> CLIPPocket:
        """The model of a file that `save` wrote, for inference.

        Raises:
            WeightsError: no such file, or another model's.
        """
        header, tensors = weights.read(Path(path))
        if header.family != FAMILY:
            raise WeightsError(f"{path}: expected a {FAMILY}, found a model of the family {header.family!r}")
        try:
            model = cls(CLIPPocketConfig.model_validate(header.config), header.name)
        except ValidationError as error:
            raise WeightsError(f"{path}: configuration: {' '.join(str(error).split())}") from None
        weights.load_into(model, tensors, path)
        return model.eval()

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Weights and configuration as one .safetensors file; its folder exists."""
        header = weights.Header(self.name, FAMILY, self.config.model_dump(mode="json"), {})
        weights.write(Path(path), weights.cast(self.state_dict(), dtype), header)

    @property
    def scale(self) -> Tensor:
        """What a cosine is multiplied by to make a logit."""
        return self.text.logit_scale.exp()

    def encode_images(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) normalised pictures -> (B, E) of length 1."""
        x = self.image.stem(images)
        for stage in self.image.stages:
            x = stage(x)
        return F.normalize(self.project(x.mean((-2, -1))), dim=-1)

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """(N, L) ids, L at most `context` -> (N, E) of length 1."""
        return F.normalize(self.read(tokens)[1], dim=-1)

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, L) ids -> words (N, L, D), state (N, E): what `training.text_vectors` aims at CLIP's vectors."""
        words, state = self.text(tokens)
        return words, state

    def digest(self) -> str:
        """SHA-256 over the image tower's weights."""
        total = hashlib.sha256()
        for part in (self.image, self.project):
            for name, value in sorted(part.state_dict().items()):
                total.update(name.encode())
                total.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
        return total.hexdigest()


def open_clip(source: str | Path) -> CLIPPair | CLIPPocket:
    """The CLIP of a file, folder or hub id, or "clip-pocket", the one in the package; a file of ours is known by its
    header.

    Raises:
        WeightsError: see `CLIPPair.read` and `CLIPPocket.load`.
    """
    if str(source) == FAMILY:
        return CLIPPocket.load(Path(str(resources.files("referent") / "pocket" / f"{FAMILY}.safetensors")))
    path = Path(source)
    if path.suffix == ".safetensors" and path.is_file() and weights.is_ours(path):
        return CLIPPocket.load(path)
    return CLIPPair.read(source)
