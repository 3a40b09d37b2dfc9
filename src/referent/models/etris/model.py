"""ETRIS: bridging vision and language encoders, parameter-efficient tuning for referring image segmentation
(Xu et al., ICCV 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.encoders.base import ImageEncoder
from referent.encoders.build import build_image_encoder
from referent.encoders.clip import CLIPTextEncoder
from referent.layers.convolution import conv_bn_relu
from referent.layers.decoder import Decoder
from referent.layers.losses import mask_losses
from referent.layers.presence import PresenceHead
from referent.layers.projector import Projector
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.etris.bridger import Bridger
from referent.models.etris.config import ETRISConfig
from referent.models.etris.neck import Neck
from referent.models.etris.steps import Steps
from referent.models.etris.variants.box_losses import box_losses
from referent.models.etris.variants.classification import LabelHead, label_loss
from referent.models.etris.variants.detection import BoxHead
from referent.models.etris.zoom import Way

# The released code trains every parameter of CLIP of this name, and no other.
_POSITIONS = "positions"


class ETRIS(Steps):
    """Two frozen encoders with Bridgers between their stages, hierarchical and global alignment, CRIS's projector.

    `Steps` tells in which order they compute. Which parameters of the encoders are trained follows from
    `config.tuning`.

    Pictures must have sides that are multiples of the image encoder's largest stride.
    """

    def __init__(self, config: ETRISConfig) -> None:
        super().__init__()
        self.config = config
        self.drifting_statistics = config.statistics == "drifting"
        self.reads_padding = bool(config.bridger.places)
        self.image_encoder = build_image_encoder(config.image)
        self.text_encoder = CLIPTextEncoder(config.text)
        encoder, state_width, width = self.image_encoder, config.text.embed, config.neck.width
        self.bridgers = nn.ModuleList(
            Bridger(
                config.bridger, encoder.widths[stage], config.text.width, *self._zoom(encoder, stage), first=number == 0
            )
            for number, (stage, _) in enumerate(config.bridger.places)
        )
        zooms = [self._zoom(encoder, stage) for stage in config.neck.stages]
        self.neck = Neck(
            config.neck,
            tuple(encoder.channels[stage] for stage in config.neck.stages),
            tuple(way for way, _ in zooms),
            tuple(ratio for _, ratio in zooms),
            state_width,
        )
        self.decoder = (
            Decoder(width, config.text.width, **config.decoder.model_dump()) if config.decoder is not None else None
        )
        self.projector = Projector(width, config.projector.hidden, config.projector.width, state_width)
        fine = config.neck.stages[0]
        self.detail = (
            nn.ModuleList(
                conv_bn_relu(encoder.channels[stage], config.projector.hidden, 1) for stage in (fine, fine - 1)
            )
            if config.projector.detail
            else None
        )
        self.presence = PresenceHead(width, state_width) if config.presence else None
        self.label = LabelHead(width, state_width) if config.label else None
        self.boxes = (
            BoxHead(
                config.boxes,
                tuple(encoder.channels[stage] for stage in config.neck.stages),
                tuple(encoder.strides[stage] for stage in config.neck.stages),
                state_width,
            )
            if config.boxes is not None
            else None
        )
        self.gives_labels, self.gives_boxes = config.label, config.boxes is not None
        self._freeze()

    def _zoom(self, encoder: ImageEncoder, stage: int) -> tuple[Way, int]:
        """How a stage's map comes to the resolution of the neck's middle stage."""
        middle = self.config.neck.stages[1]
        if stage <= middle:
            return "shrink", encoder.strides[middle] // encoder.strides[stage]
        return "enlarge", encoder.strides[stage] // encoder.strides[middle]

    def _freeze(self) -> None:
        if self.config.tuning == "full":
            return
        for encoder in (self.image_encoder, self.text_encoder):
            for name, parameter in encoder.named_parameters():
                trained = self.config.tuning == "faithful" and name.rpartition(".")[2] == _POSITIONS
                parameter.requires_grad_(trained)

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 416) -> SegmentationModel:
        """The same function in fewer operations, for answering on a CPU: see `ETRISInference`. A model with
        labels or boxes has no such form.

        Args:
            dtype: float32 (logits equal up to rounding) or bfloat16 (faster, less exact). Not to be run under autocast.
            size: side of the pictures for which the algorithms are chosen.
        """
        if self.label is not None or self.boxes is not None:
            return self
        from referent.models.etris.inference import ETRISInference  # it imports this file

        return ETRISInference(self, dtype, size)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`text_to_pixel` (the paper's), `dice`, and where the heads exist `presence` (`layers/losses.py`), `label`,
        and `box_score`, `box`, `box_centre` (see `variants/`)."""
        named = mask_losses(output.logits, output.presence, batch.target)
        if output.label is not None:
            named["label"] = label_loss(output.label, batch.picture, batch.target)
        if output.boxes is not None:
            named |= box_losses(output.boxes, batch.boxes)
        return named
