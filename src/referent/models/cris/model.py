"""CRIS: CLIP-driven referring image segmentation (Wang et al., CVPR 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from referent.encoders.build import build_image_encoder
from referent.encoders.clip import CLIPTextEncoder
from referent.layers.convolution import conv_bn_relu
from referent.layers.decoder import Decoder
from referent.layers.losses import mask_losses
from referent.layers.presence import PresenceHead
from referent.layers.projector import Projector
from referent.models.base import Batch, Output, SegmentationModel
from referent.models.cris.config import CRISConfig
from referent.models.cris.neck import Neck


class CRIS(SegmentationModel):
    """Two CLIP encoders, a neck, a cross-modal decoder, and a projector whose kernel is made of the sentence.

    Pictures must have sides that are multiples of the image encoder's largest stride (32 for CLIP's ResNets).
    """

    def __init__(self, config: CRISConfig) -> None:
        super().__init__()
        self.config = config
        width = config.neck.channels[1]
        self.image_encoder = build_image_encoder(config.image)
        self.text_encoder = CLIPTextEncoder(config.text)
        c3, c4, c5 = self.image_encoder.channels[-3:]
        s3, s4, s5 = self.image_encoder.strides[-3:]
        self.neck = Neck((c3, c4, c5), (s3, s4, s5), config.neck.channels, config.text.embed)
        self.decoder = Decoder(width, config.text.width, **config.decoder.model_dump())
        self.projector = Projector(width, config.projector.hidden, config.projector.width, config.text.embed)
        self.detail = (
            nn.ModuleList(
                conv_bn_relu(channels, config.projector.hidden, 1) for channels in self.image_encoder.channels[-3:-5:-1]
            )
            if config.projector.detail
            else None
        )
        self.presence = PresenceHead(width, config.text.embed) if config.presence else None

    def look_at(self, image: Tensor) -> tuple[Tensor, ...]:
        """Everything that no phrase enters: the encoder and the neck's first convolutions.

        Args:
            image: (B, 3, H, W) float, normalised.

        Returns:
            Three maps, fine to coarse, and with `detail` the projector's two, see there; first dimension B.
        """
        maps = self.image_encoder(image)
        v3, v4, v5 = maps[-3:]
        sight = self.neck.project(v3, v4, v5)
        if self.detail is None:
            return sight
        return *sight, self.detail[0](v3), self.projector.share(self.detail[1](maps[-4]))

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Phrases alone: (N, L) ids -> words (N, L, D), state (N, E). They do not depend on the picture."""
        words, state = self.text_encoder(tokens)
        return words, state

    def answer(self, sight: tuple[Tensor, ...], batch: Batch) -> Output:
        """Mask logits of N references, (N, 1, H / 4, W / 4) where the middle stage has stride 16.

        Padding is told by id 0, which is also the token of a "!" inside a word; the decoder does not see that one
        either, as in the official code.
        """
        words, state = self.read(batch.tokens)
        f3, f4, f5, *detail = (batch.per_reference(feature_map) for feature_map in sight)
        fused = self.neck(f3, f4, f5, state)
        decoded = self.decoder(fused, words, batch.tokens != 0)
        logits = self.projector(decoded, state, (detail[0], detail[1]) if detail else None)
        presence = self.presence(decoded, state, logits) if self.presence is not None else None
        return Output(logits, presence)

    def for_inference(self, dtype: torch.dtype = torch.float32, size: int = 416) -> SegmentationModel:
        """The same function in fewer operations, for answering on a CPU: see `CRISInference`.

        Args:
            dtype: float32 (logits equal up to rounding) or bfloat16 (faster, less exact). Not to be run under autocast.
            size: side of the pictures for which the algorithms are chosen.
        """
        from referent.models.cris.inference import CRISInference  # it imports this file

        return CRISInference(self, dtype, size)

    def losses(self, batch: Batch, output: Output) -> dict[str, Tensor]:
        """`text_to_pixel` (the paper's), `dice`, and `presence` where the head exists: see `layers/losses.py`."""
        return mask_losses(output.logits, output.presence, batch.target)
