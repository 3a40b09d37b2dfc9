"""Which UniFusion inside SAM: the SAM, the encoders of references, and the fusion between them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.bert import BertConfig
from referent.encoders.build import TextEncoderConfig
from referent.models.unirefpp.config import FusionConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)
PATCH = 16
"""Side of SAM's patches in pixels, which is also the last stride of the mask encoder."""


class SamConfig(BaseModel):
    """A SAM (Kirillov et al., "Segment Anything", ICCV 2023). The defaults are ViT-H.

    Attributes:
        side: of the square that it sees, in pixels; the embedding has a pixel for each `PATCH` of them.
        channels, layers, heads, feedforward: of the vision transformer.
        window: side of the window within which layers attend, in patches.
        global_layers: numbers of the layers that attend everywhere instead.
        width: channels of the embedding, of prompts and of the mask decoder.
        decoder_layers, decoder_heads, decoder_feedforward: of the mask decoder.
        multimasks: masks that the decoder has tokens for beside the single one.
        mask_channels: inside the part of the prompt encoder that reads masks.
    """

    model_config = _FROZEN

    side: int = Field(default=1024, gt=0, multiple_of=PATCH)
    channels: int = Field(default=1280, gt=0)
    layers: int = Field(default=32, gt=0)
    heads: int = Field(default=16, gt=0)
    feedforward: int = Field(default=5120, gt=0)
    window: int = Field(default=14, gt=0)
    global_layers: tuple[int, ...] = (7, 15, 23, 31)
    width: int = Field(default=256, gt=0, multiple_of=32)
    decoder_layers: int = Field(default=2, gt=0)
    decoder_heads: int = Field(default=8, gt=0)
    decoder_feedforward: int = Field(default=2048, gt=0)
    multimasks: int = Field(default=3, ge=0)
    mask_channels: int = Field(default=16, gt=0, multiple_of=4)

    @model_validator(mode="after")
    def _fits(self) -> SamConfig:
        if self.channels % self.heads:
            raise ValueError(f"heads: expected a divisor of channels {self.channels}, found {self.heads}")
        if (self.width // 2) % self.decoder_heads:
            raise ValueError(f"decoder_heads: expected a divisor of {self.width // 2}, found {self.decoder_heads}")
        return self


class CoarseMaskEncoderConfig(BaseModel):
    """The encoder of examples: a ResNet-18 without its last stage.

    Attributes:
        depths: blocks in each of the three stages, the last of which is at stride 16.
        width: channels of the first stage; each further stage has twice as many.
        gate_reduction: the fuser's channel gates have so many times fewer channels inside.
    """

    model_config = _FROZEN

    depths: tuple[int, int, int] = (2, 2, 2)
    width: int = Field(default=64, gt=0)
    gate_reduction: int = Field(default=16, gt=0)


class UniRefSamConfig(BaseModel):
    """UniFusion inside SAM. The defaults are the authors' variant with ViT-H.

    Attributes:
        sam: the SAM.
        text: the text encoder.
        text_dropout: of the resized words, in training.
        mask_encoder: the encoder of examples.
        fusion: see there.
        pooler: BERT's pooler is kept, frozen: the official checkpoints hold it and nothing reads it.
    """

    model_config = _FROZEN

    sam: SamConfig = SamConfig()
    text: TextEncoderConfig = BertConfig.base()
    text_dropout: float = Field(default=0.1, ge=0, lt=1)
    mask_encoder: CoarseMaskEncoderConfig = CoarseMaskEncoderConfig()
    fusion: FusionConfig = FusionConfig()
    pooler: bool = False

    @model_validator(mode="after")
    def _fits(self) -> UniRefSamConfig:
        if self.pooler and not isinstance(self.text, BertConfig):
            raise ValueError(f"pooler: expected BERT beside it, found {type(self.text).__name__}")
        return self

    @classmethod
    def vit_h(cls) -> UniRefSamConfig:
        """ViT-H, phrases and examples: the authors' variant."""
        return cls(pooler=True)
