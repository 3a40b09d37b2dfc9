"""Which MagNet: encoders, alignment between them, decoders, and what is learnt beside the mask."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.bert import BertConfig
from referent.encoders.build import ImageEncoderConfig, TextEncoderConfig
from referent.encoders.swin import SwinConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class PixelDecoderConfig(BaseModel):
    """The pixel decoder. The defaults are the released ones.

    Attributes:
        width: channels of all maps that leave it, and of the mask decoder.
        levels: so many maps, from the coarsest on, attend to each other; None for all, as released. Finer ones get what
            these say through a pyramid, as in Mask2Former, at a fraction of the cost.
        layers, heads, points: of deformable attention.
        feedforward: inner width of the feed-forward parts.
    """

    model_config = _FROZEN

    width: int = Field(default=256, gt=0, multiple_of=8)
    levels: int | None = Field(default=None, ge=1)
    layers: int = Field(default=4, ge=0)
    heads: int = Field(default=8, gt=0)
    points: int = Field(default=4, gt=0)
    feedforward: int = Field(default=1024, gt=0)


class MaskDecoderConfig(BaseModel):
    """The mask decoder. The defaults are the released ones.

    Attributes:
        layers, heads: their numbers.
        feedforward: inner width of the feed-forward parts.
    """

    model_config = _FROZEN

    layers: int = Field(default=9, ge=1)
    heads: int = Field(default=8, gt=0)
    feedforward: int = Field(default=2048, gt=0)


class AlignmentLossConfig(BaseModel):
    """The cross-modal alignment loss. No source states these numbers; they are ours.

    Attributes:
        pixel_temperature, text_temperature: tau 1 and tau 2.
        pixels: at most so many of a picture's positive, and of its negative pixels are drawn, which bounds memory.
    """

    model_config = _FROZEN

    pixel_temperature: float = Field(default=0.1, gt=0)
    text_temperature: float = Field(default=0.1, gt=0)
    pixels: int = Field(default=1024, gt=0)


class PredictorConfig(BaseModel):
    """The predictor of hidden words, and how words are hidden.

    Attributes:
        layers, heads: their numbers; no source states them, the layers are OVR-CNN's.
        feedforward: inner width of the feed-forward parts.
        dropout: in the predictor, in training.
        share: of the words, chosen to be predicted (OVR-CNN, which the authors say they follow).
        kept: share of the chosen words that the model still sees (OVR-CNN).
    """

    model_config = _FROZEN

    layers: int = Field(default=6, ge=1)
    heads: int = Field(default=8, gt=0)
    feedforward: int = Field(default=1024, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    share: float = Field(default=0.15, gt=0, le=1)
    kept: float = Field(default=0.1, ge=0, lt=1)


class MagNetConfig(BaseModel):
    """MagNet. The defaults are the paper's model.

    Attributes:
        image: the image encoder; all its stages are used.
        text: the text encoder; its layers are dealt evenly to the image encoder's stages.
        module: what happens between the stages. "paper": the cross-modal alignment module. "released": the authors'
            code, bug for bug, which their weights need. "plain": no module, only pixels that read the words (LAVT's
            attention), the baseline of the ablation.
        relative: the paper's module updates a pixel by at most 1 in every channel. With `relative` that is 1 standard
            deviation of the pixel's own channels, and the pixel decoder reads normed maps: for encoders whose maps are
            larger than Swin's, as MobileNetV2's are (4 to 7), where words would have next to no say. Ours;
            for module "paper" alone.
        pyramid: sides of the pooled maps of the module.
        expansion: inner width of a pooled map's MLP, for each channel of the map.
        pixel_decoder, mask_decoder: see there.
        deep_supervision: the mask losses also count the masks of all mask decoder layers but the last, in equal shares.
        compared: where masks are compared with the truth in training: at the picture's size, as at test time, or at the
            mask features' size, at a part of the cost. No source says which.
        alignment: the cross-modal alignment loss, or None for none.
        grounding: what hidden words are predicted from. "mask": language, picture and the true mask (Mask Grounding);
            "masked-vl": language and picture; "mlm": language alone; "none": nothing is hidden.
        predictor: of hidden words, where there is grounding.
        presence: a head of ours that says whether the phrase is true of anything in the picture.
    """

    model_config = _FROZEN

    image: ImageEncoderConfig = SwinConfig.base()
    text: TextEncoderConfig = BertConfig.base()
    module: Literal["paper", "released", "plain"] = "paper"
    relative: bool = False
    pyramid: tuple[int, ...] = (1, 2, 3, 6)
    expansion: int = Field(default=4, gt=0)
    pixel_decoder: PixelDecoderConfig = PixelDecoderConfig()
    mask_decoder: MaskDecoderConfig = MaskDecoderConfig()
    deep_supervision: bool = True
    compared: Literal["picture", "map"] = "picture"
    alignment: AlignmentLossConfig | None = AlignmentLossConfig()
    grounding: Literal["none", "mlm", "masked-vl", "mask"] = "mask"
    predictor: PredictorConfig = PredictorConfig()
    presence: bool = False

    @model_validator(mode="after")
    def _widths_fit(self) -> MagNetConfig:
        width = self.pixel_decoder.width
        for name, heads in (
            ("pixel_decoder", self.pixel_decoder.heads),
            ("mask_decoder", self.mask_decoder.heads),
            ("predictor", self.predictor.heads),
        ):
            if width % heads:
                raise ValueError(f"{name}.heads: expected a divisor of pixel_decoder.width {width}, found {heads}")
        return self

    @model_validator(mode="after")
    def _relative_of_paper(self) -> MagNetConfig:
        if self.relative and self.module != "paper":
            raise ValueError(f'relative: expected with module "paper" only, found "{self.module}"')
        return self

    @classmethod
    def swin_b(cls) -> MagNetConfig:
        """The paper's model: Swin-B, BERT, every part."""
        return cls()

    @classmethod
    def released(cls) -> MagNetConfig:
        """The authors' code, which has no grounding."""
        return cls(module="released", grounding="none")
