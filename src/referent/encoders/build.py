"""From the configuration of an image encoder to the encoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from referent.encoders.base import ImageEncoder
from referent.encoders.clip import CLIPResNet, CLIPResNetConfig, CLIPViT, CLIPViTConfig
from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config

ImageEncoderConfig = Annotated[CLIPResNetConfig | CLIPViTConfig | MobileNetV2Config, Field(discriminator="kind")]


def build_image_encoder(config: CLIPResNetConfig | CLIPViTConfig | MobileNetV2Config) -> ImageEncoder:
    """The encoder that `config` describes, with random weights."""
    match config:
        case CLIPResNetConfig():
            return CLIPResNet(config)
        case CLIPViTConfig():
            return CLIPViT(config)
        case MobileNetV2Config():
            return MobileNetV2(config)
