"""Which UniRef++: encoders, the fusion between them, the detector, and the masks."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.bert import BertConfig
from referent.encoders.build import ImageEncoderConfig, TextEncoderConfig
from referent.encoders.resnet import ResNetConfig
from referent.encoders.swin import SwinConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)

Channels: TypeAlias = Literal["bgr", "rgb"]
"""Which channels are taken for red, green and blue where colours are compared. The official code reverses channels that
are RGB already, so that red and blue change places: "bgr"."""


class FusionConfig(BaseModel):
    """UniFusion. The defaults are the released ones.

    Attributes:
        heads: their number.
        head_width: of each, or None for that of the features, so that the inner width is `heads` times theirs.
        shared: one module serves all levels and all kinds of reference; or each kind has one ("levels"), each level
            has one ("tasks"), or each pair of both ("nowhere"). There is an inference form for the first alone.
        alike: queries and keys begin with the same projection, so that pixels read what looks like them before anything
            is learnt.
        dropout: of the attention probabilities, in training.
        bfloat16: attend in bfloat16, as the authors' code does on the GPU; off, in the precision of the features.
    """

    model_config = _FROZEN

    heads: int = Field(default=8, gt=0)
    head_width: int | None = Field(default=None, gt=0)
    shared: Literal["everywhere", "levels", "tasks", "nowhere"] = "everywhere"
    alike: bool = False
    dropout: float = Field(default=0.1, ge=0, lt=1)
    bfloat16: bool = False


class DetectorConfig(BaseModel):
    """The two-stage deformable transformer. The defaults are the released ones.

    Attributes:
        encoder_layers, decoder_layers: their numbers.
        heads, points: of deformable attention; the heads of self-attention too.
        feedforward: inner width of the feed-forward parts.
        queries: at most so many places are looked into.
        proposals: of how many pixels an object is to be proposed in training: "one", or "many" as in the decoder, by
            which a small model learns where to look in fewer steps.
        classes: rows of the class heads: 1 for references, 365 in the Objects365 pre-training.
    """

    model_config = _FROZEN

    encoder_layers: int = Field(default=6, ge=0)
    decoder_layers: int = Field(default=6, ge=1)
    heads: int = Field(default=8, gt=0)
    points: int = Field(default=4, gt=0)
    feedforward: int = Field(default=2048, gt=0)
    queries: int = Field(default=300, gt=0)
    proposals: Literal["one", "many"] = "one"
    classes: int = Field(default=1, gt=0)


class MaskEncoderConfig(BaseModel):
    """The encoder of examples, a ResNet of basic blocks. The defaults are ResNet-18, the released one.

    Attributes:
        depths: blocks in each of the four stages.
        width: channels of the first stage; each further stage has twice as many.
        gate_reduction: the fusers' channel gates have so many times fewer channels inside.
        inner: channels inside the fusers, or None for those of everything else.
        direct: the mask's share of each place, times a learnt vector for each level, is added to what the fusers make:
            where the target is need not be learnt.
    """

    model_config = _FROZEN

    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    width: int = Field(default=64, gt=0)
    gate_reduction: int = Field(default=16, gt=0)
    inner: int | None = Field(default=None, gt=0)
    direct: bool = False


class UniRefConfig(BaseModel):
    """UniRef++. The defaults are the authors' last stage (images and videos) with ResNet-50.

    Attributes:
        image: the image encoder; four stages of strides 4, 8, 16, 32.
        width: channels of everything behind the encoders.
        text: the text encoder, or None for weights trained without phrases.
        text_dropout: of the resized words, in training.
        mask_encoder: the encoder of examples, or None for weights trained without.
        fusion, detector: see there.
        distance_unit: pixels; distances from a query's centre enter its mask's network in this unit. With the released
            1 they drown the features until the network has learnt small weights.
        dense: a further loss on what each pixel of the encoder's finest level says by itself, without queries; reading
            references is then learnt before the queries have found their places.
        prior: where the picture looks like an example's target to the image encoder is added to each level, see
            `prior.py`.
        colours: in training on boxes alone.
        pooler: BERT's pooler is kept, frozen: the official checkpoints hold it and nothing reads it.
    """

    model_config = _FROZEN

    image: ImageEncoderConfig = ResNetConfig()
    width: int = Field(default=256, gt=0, multiple_of=32)
    text: TextEncoderConfig | None = BertConfig.base()
    text_dropout: float = Field(default=0.1, ge=0, lt=1)
    mask_encoder: MaskEncoderConfig | None = MaskEncoderConfig()
    fusion: FusionConfig = FusionConfig()
    detector: DetectorConfig = DetectorConfig()
    distance_unit: float = Field(default=1.0, gt=0)
    dense: bool = False
    prior: bool = False
    colours: Channels = "bgr"
    pooler: bool = False

    @model_validator(mode="after")
    def _fits(self) -> UniRefConfig:
        if self.width % self.detector.heads:
            raise ValueError(f"detector.heads: expected a divisor of width {self.width}, found {self.detector.heads}")
        if self.pooler and not isinstance(self.text, BertConfig):
            raise ValueError(f"pooler: expected BERT beside it, found {'no text' if self.text is None else 'another'}")
        if self.prior and self.mask_encoder is None:
            raise ValueError("prior: expected a mask_encoder beside it, as it is about examples, found none")
        return self

    @property
    def refers(self) -> bool:
        """Whether it takes references at all; the pre-training on boxes does not."""
        return self.text is not None or self.mask_encoder is not None

    @classmethod
    def r50(cls) -> UniRefConfig:
        """ResNet-50, phrases and examples: the authors' image-joint and video-joint weights."""
        return cls(pooler=True)

    @classmethod
    def swin_l(cls) -> UniRefConfig:
        """Swin-L, phrases and examples: the authors' image-joint and video-joint weights."""
        return cls(image=SwinConfig.large(), pooler=True)

    @classmethod
    def phrases_r50(cls) -> UniRefConfig:
        """ResNet-50 before examples are added (the authors' first image-joint stage)."""
        return cls(mask_encoder=None, pooler=True)

    @classmethod
    def phrases_swin_l(cls) -> UniRefConfig:
        """Swin-L before examples are added."""
        return cls(image=SwinConfig.large(), mask_encoder=None, pooler=True)

    @classmethod
    def boxes_r50(cls) -> UniRefConfig:
        """ResNet-50 as pre-trained on the boxes of Objects365."""
        return cls(text=None, mask_encoder=None, detector=DetectorConfig(classes=365))

    @classmethod
    def boxes_swin_l(cls) -> UniRefConfig:
        """Swin-L as pre-trained on the boxes of Objects365."""
        return cls(image=SwinConfig.large(), text=None, mask_encoder=None, detector=DetectorConfig(classes=365))
