"""From the configuration of an encoder to the encoder."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from referent.encoders.base import ImageEncoder, TextEncoder
from referent.encoders.bert import BertConfig, BertEncoder
from referent.encoders.clip import CLIPResNet, CLIPTextEncoder, CLIPViT
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.encoders.mobilenet import MobileNetV2, MobileNetV2Config
from referent.encoders.resnet import ResNet, ResNetConfig
from referent.encoders.swin import Swin, SwinConfig

ImageEncoderConfig = Annotated[
    CLIPResNetConfig | CLIPViTConfig | MobileNetV2Config | ResNetConfig | SwinConfig, Field(discriminator="kind")
]
TextEncoderConfig = Annotated[CLIPTextConfig | BertConfig, Field(discriminator="kind")]


def build_image_encoder(
    config: CLIPResNetConfig | CLIPViTConfig | MobileNetV2Config | ResNetConfig | SwinConfig,
) -> ImageEncoder:
    """The encoder that `config` describes, with random weights."""
    match config:
        case CLIPResNetConfig():
            return CLIPResNet(config)
        case CLIPViTConfig():
            return CLIPViT(config)
        case MobileNetV2Config():
            return MobileNetV2(config)
        case ResNetConfig():
            return ResNet(config)
        case SwinConfig():
            return Swin(config)


def build_text_encoder(config: CLIPTextConfig | BertConfig) -> TextEncoder:
    """The encoder that `config` describes, with random weights."""
    match config:
        case CLIPTextConfig():
            return CLIPTextEncoder(config)
        case BertConfig():
            return BertEncoder(config)
