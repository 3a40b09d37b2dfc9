"""Which CRIS: encoders and widths."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from referent.encoders.build import ImageEncoderConfig
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class NeckConfig(BaseModel):
    """The neck.

    Attributes:
        channels: widths at the finest, middle and coarsest map; the middle one is the width of the neck's result and
            of the decoder.
    """

    model_config = _FROZEN

    channels: tuple[int, int, int] = (256, 512, 1024)


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
