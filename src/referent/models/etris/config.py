"""Which ETRIS: encoders, Bridgers, alignments, and what of it is trained."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from referent.encoders.build import ImageEncoderConfig
from referent.encoders.clip_config import CLIPResNetConfig, CLIPTextConfig, CLIPViTConfig
from referent.layers.decoder import DecoderConfig
from referent.layers.projector import ProjectorConfig
from referent.models.etris.variants.detection import BoxHeadConfig

_FROZEN = ConfigDict(extra="forbid", frozen=True)


class BridgerConfig(BaseModel):
    """The Bridgers. The defaults are the released ones for CLIP's ResNets.

    Attributes:
        places: one (image stage, text layers) a Bridger: it stands after that stage, counted from 0, and after that
            many layers of the text encoder. None at all is the model without Bridgers.
        width: channels inside, the paper's hidden dimension.
        interactor: "block" attends to the own and to the other modality and ends in a feed-forward part (the paper's
            for all encoders, released for ResNets); "product" is one cross-attention that multiplies its query
            (released for the ViT).
        heads: attention heads.
        feedforward: inner width of a block's feed-forward part.
        dropout: everywhere in a block, in training.
        zoom_in: bring maps to the common resolution by a strided (for coarse maps: transposed) convolution; off, by a
            1x1 convolution and a resize without parameters.
        zoom_out: the same on the way back.
        zoom_norm: batch norm and ReLU behind the zooming convolutions (released for the ViT).
    """

    model_config = _FROZEN

    places: tuple[tuple[int, int], ...] = ((1, 4), (2, 8), (3, 12))
    width: int = Field(default=64, ge=1)
    interactor: Literal["block", "product"] = "block"
    heads: int = Field(default=4, ge=1)
    feedforward: int = Field(default=128, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    zoom_in: bool = True
    zoom_out: bool = True
    zoom_norm: bool = False

    @model_validator(mode="after")
    def _possible(self) -> BridgerConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width {self.width}, found {self.heads}")
        for (stage, layers), (next_stage, next_layers) in pairwise(((-1, 0), *self.places)):
            if next_stage <= stage or next_layers < layers:
                raise ValueError(f"places: expected rising stages and layers that do not fall, found {self.places}")
        return self


class NeckConfig(BaseModel):
    """The hierarchical alignment.

    Attributes:
        stages: the three image stages that it takes, fine to coarse; the result has the middle one's resolution, at
            which the Bridgers meet too.
        width: channels of its result and of the decoder.
        heads: attention heads of the gates. One key alone decides nothing, so they only name how official weights are
            packed.
        hierarchical: gate the three maps by the sentence; off, they are merged without it.
    """

    model_config = _FROZEN

    stages: tuple[int, int, int] = (1, 2, 3)
    width: int = Field(default=512, ge=1)
    heads: int = Field(default=8, ge=1)
    hierarchical: bool = True

    @model_validator(mode="after")
    def _rising(self) -> NeckConfig:
        if list(self.stages) != sorted(set(self.stages)) or self.stages[0] < 0:
            raise ValueError(f"stages: expected three rising numbers, found {self.stages}")
        return self


class ETRISConfig(BaseModel):
    """ETRIS. The defaults are ETRIS-R50.

    Attributes:
        image, text: the two encoders.
        bridger, neck, projector: see there.
        decoder: the global alignment; None sends the neck's map to the projector as it is.
        presence: a head that says whether the phrase is true of anything in the picture; ours, not the paper's.
        label: a head that says which of several names is a picture's; our reading of the appendix's classification.
        boxes: a pyramid and a head for boxes of single objects; our reading of the appendix's detection.
        tuning: what of the encoders is trained. "faithful": the positional tables, as the released code does (the
            paper says nothing); "economical": nothing, so that nothing is back-propagated below the first Bridger;
            "full": all of it, which is what the paper compares with.
        statistics: what training does to the batch norms of frozen encoders. "drifting": their statistics go on
            following the batches, as the released code lets them; "frozen": they stay CLIP's.
    """

    model_config = _FROZEN

    image: ImageEncoderConfig = CLIPResNetConfig.rn50()
    text: CLIPTextConfig = CLIPTextConfig()
    bridger: BridgerConfig = BridgerConfig()
    neck: NeckConfig = NeckConfig()
    decoder: DecoderConfig | None = DecoderConfig(feedforward=512)
    projector: ProjectorConfig = ProjectorConfig()
    presence: bool = False
    label: bool = False
    boxes: BoxHeadConfig | None = None
    tuning: Literal["faithful", "economical", "full"] = "faithful"
    statistics: Literal["drifting", "frozen"] = "drifting"

    @model_validator(mode="after")
    def _fits(self) -> ETRISConfig:
        heads = self.decoder.heads if self.decoder else self.neck.heads
        for divisor in (4, heads, self.neck.heads):
            if self.neck.width % divisor:
                raise ValueError(f"neck.width: expected a multiple of {divisor}, found {self.neck.width}")
        last = max((layers for _, layers in self.bridger.places), default=0)
        if last > self.text.layers:
            raise ValueError(f"bridger.places: expected at most {self.text.layers} text layers, found {last}")
        stages = len(self.image.depths) if isinstance(self.image, CLIPViTConfig) else 4
        asked = max([self.neck.stages[-1], *(stage for stage, _ in self.bridger.places)])
        if asked >= stages or self.neck.stages[-1] != stages - 1:
            raise ValueError(
                f"neck.stages, bridger.places: the image encoder has stages 0 to {stages - 1}; the neck takes the last "
                f"one, found {self.neck.stages} and {self.bridger.places}"
            )
        first = self.bridger.places[0][0] if self.bridger.places else stages
        fine = self.neck.stages[0]
        if self.projector.detail and (isinstance(self.image, CLIPViTConfig) or not 1 <= fine <= first):
            raise ValueError(
                "projector.detail: takes the maps of the neck's first stage and of the one before it, at strides 8 "
                "and 4 and before any Bridger; here there are none"
            )
        if self.boxes is not None and not self.bridger.places:
            raise ValueError("boxes: the pyramid takes bridged maps; expected a Bridger in bridger.places, found none")
        return self

    @classmethod
    def r50(cls) -> ETRISConfig:
        """ETRIS-R50 as released."""
        return cls()

    @classmethod
    def r101(cls) -> ETRISConfig:
        """ETRIS-R101 as released."""
        return cls(image=CLIPResNetConfig.rn101(), text=CLIPTextConfig(embed=512))

    @classmethod
    def vitb16(cls) -> ETRISConfig:
        """ETRIS-ViT-B/16 as released: for pictures of 416 x 416, whose 26 x 26 patches its positional table has."""
        return cls(
            image=CLIPViTConfig(grid=26),
            text=CLIPTextConfig(embed=512),
            bridger=BridgerConfig(places=((0, 4), (1, 8), (2, 12)), interactor="product", heads=8, zoom_norm=True),
            neck=NeckConfig(stages=(0, 1, 2)),
        )

    @classmethod
    def vitb16_paper(cls) -> ETRISConfig:
        """ETRIS-ViT-B/16 with the Bridger that the paper describes: self-attention, cross-attention, feed-forward."""
        config = cls.vitb16()
        return config.model_copy(update={"bridger": config.bridger.model_copy(update={"interactor": "block"})})
