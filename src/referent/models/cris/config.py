"""Which CRIS: encoders and widths."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.build import ImageEncoderConfig
from referent.encoders.clip import CLIPResNetConfig, CLIPTextConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class NeckConfig(BaseModel):
    """The neck.

    Attributes:
        channels: widths at the finest, middle and coarsest map; the middle one is the width of the neck's result and
            of the decoder.
    """

    model_config = _FROZEN

    channels: tuple[int, int, int] = (256, 512, 1024)


class DecoderConfig(BaseModel):
    """The decoder.

    Attributes:
        layers, heads: their numbers.
        feedforward: inner width of the feed-forward parts.
        dropout: everywhere in the decoder, in training.
    """

    model_config = _FROZEN

    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=8, ge=1)
    feedforward: int = Field(default=2048, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class ProjectorConfig(BaseModel):
    """The projector.

    Attributes:
        hidden: channels at twice the neck's resolution.
        width: channels at four times the neck's resolution, and of the sentence's kernel.
        detail: add the picture's maps of twice and four times the neck's resolution on the way up; ours, not the
            paper's, whose masks are drawn from the decoder's map alone.
    """

    model_config = _FROZEN

    hidden: int = Field(default=512, ge=1)
    width: int = Field(default=256, ge=1)
    detail: bool = False


class CRISConfig(BaseModel):
    """CRIS. The defaults are CRIS-R50.

    Attributes:
        image: the image encoder; its last three stages are used. The middle one's stride is the decoder's, the finest
            one's divides it.
        text: the text encoder.
        neck, decoder, projector: see there.
        presence: a head that says whether the phrase is true of anything in the picture; ours, not the paper's.
    """

    model_config = _FROZEN

    image: ImageEncoderConfig = CLIPResNetConfig.rn50()
    text: CLIPTextConfig = CLIPTextConfig()
    neck: NeckConfig = NeckConfig()
    decoder: DecoderConfig = DecoderConfig()
    projector: ProjectorConfig = ProjectorConfig()
    presence: bool = False

    @model_validator(mode="after")
    def _widths_fit(self) -> CRISConfig:
        width = self.neck.channels[1]
        if width % 4 or width % self.decoder.heads:
            raise ValueError(f"neck.channels[1]: expected a multiple of 4 and of decoder.heads, found {width}")
        if self.text.width % 2:
            raise ValueError(f"text.width: expected an even number, found {self.text.width}")
        return self

    @classmethod
    def r50(cls) -> CRISConfig:
        """CRIS-R50 as published."""
        return cls()

    @classmethod
    def r101(cls) -> CRISConfig:
        """CRIS-R101 as published."""
        return cls(image=CLIPResNetConfig.rn101(), text=CLIPTextConfig(embed=512))
