"""From the configuration of an image encoder to the encoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from referent.encoders.base import ImageEncoder
from referent.encoders.clip import CLIPResNet, CLIPResNetConfig, CLIPViT, CLIPViTConfig

ImageEncoderConfig = Annotated[CLIPResNetConfig | CLIPViTConfig, Field(discriminator="kind")]


def build_image_encoder(config: CLIPResNetConfig | CLIPViTConfig) -> ImageEncoder:
    """The encoder that `config` describes, with random weights."""
    match config:
        case CLIPResNetConfig():
            return CLIPResNet(config)
        case CLIPViTConfig():
            return CLIPViT(config)
